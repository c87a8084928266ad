"""Protection of accounts on the running mesh, with several processes of a service: ended tokens, guessed passwords,
mails to strangers, and disclosure of addresses.
"""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Iterator

import pytest

from mesh.client import Channel
from mesh.errors import MeshError
from tests.system.mesh import PASSWORD, Client, Mesh, eventually, oauth_error, problem, submit

CALLS = {
    "orders": "/meshwright.orders.v1.OrdersService/ListOrders",
    "information": "/meshwright.information.v1.InformationService/GetInformation",
    "notifications": "/meshwright.notifications.v1.NotificationsService/ListNotifications",
    "identity": "/meshwright.identity.v1.IdentityService/GetUser",
    "support": "/meshwright.support.v1.SupportService/ListConversations",
}


def reason(address: str, path: str, token: str) -> str:
    """Returns the reason why a process rejects a call with this token, empty if it does not."""

    async def call() -> str:
        async with Channel("service", address) as channel:
            try:
                await channel.unary(path, b"", timeout_s=10, metadata=[("authorization", f"Bearer {token}")])
            except MeshError as error:
                return error.reason
            return ""

    return asyncio.run(call())


@pytest.fixture(scope="module")
def processes(mesh: Mesh) -> Iterator[list[tuple[str, str]]]:
    """Returns the address and a method of every process that verifies tokens over gRPC, two of each service."""
    with contextlib.ExitStack() as stack:
        replicas = [(stack.enter_context(mesh.replica(name)).address, path) for name, path in CALLS.items()]
        yield [*((mesh.address(name), path) for name, path in CALLS.items()), *replicas]


def test_a_token_ends_everywhere_with_its_user(mesh: Mesh, processes: list[tuple[str, str]]) -> None:
    """Once the deletion has returned, all processes reject the token that they accepted, and no order is placed."""
    for _ in range(5):
        with Client(mesh) as customer:
            customer.register()
            token = customer.token
            assert {reason(address, path, token) for address, path in processes} <= {"", "INVALID_FIELD"}
            assert customer.delete("/v1/users/me").status_code == 200
            assert {reason(address, path, token) for address, path in processes} == {"TOKEN_REVOKED"}
            assert problem(customer.get("/v1/information"))[2] == "TOKEN_REVOKED"


def test_a_revoked_token_ends_everywhere(mesh: Mesh, processes: list[tuple[str, str]]) -> None:
    """Revocation ends an access token, and the access token of a sign-in whose refresh token is revoked."""
    for kind in ("access_token", "refresh_token"):
        with Client(mesh) as customer:
            customer.register()
            tokens = customer.sign_in(customer.email)
            form = {"token": tokens[kind], "token_type_hint": kind, "unknown": "ignored"}
            assert customer.post("/v1/oauth2/revoke", data=form).status_code == 200
            assert {reason(address, path, tokens["access_token"]) for address, path in processes} == {"TOKEN_REVOKED"}


def test_guessing_is_refused_and_leaves_others_alone(mesh: Mesh, customer: Client) -> None:
    """After some wrong passwords the correct one is rejected too, with Retry-After; other users and existing sessions
    are not affected.
    """
    form = {"grant_type": "password", "username": customer.email, "password": "wrong password"}
    with Client(mesh) as eve, Client(mesh) as other:
        other.register()
        answers = [eve.post("/v1/oauth2/token", data=form) for _ in range(8)]
        refused = eve.post("/v1/oauth2/token", data=form | {"password": PASSWORD})
        assert oauth_error(answers[0]) == (400, "invalid_grant")
        assert oauth_error(refused) == (429, "temporarily_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert other.sign_in(other.email)
        assert customer.get("/v1/users/me").status_code == 200


def test_a_client_can_not_choose_its_address(mesh: Mesh, customer: Client) -> None:
    """Internal headers of clients are not forwarded: guesses under many addresses count as one client's."""
    form = {"grant_type": "password", "username": customer.email, "password": "wrong password"}
    with Client(mesh) as eve:
        for number in range(9):
            headers = {"x-meshwright-client-address": f"192.0.2.{number}", "x-forwarded-for": f"192.0.2.{number}"}
            answer = eve.post("/v1/oauth2/token", data=form, headers=headers)
    assert oauth_error(answer) == (429, "temporarily_unavailable")


def test_registering_and_leaving_mails_an_address_once(mesh: Mesh) -> None:
    """The mail contains no text that the person who registered chose."""
    email = f"{uuid.uuid4().hex}@example.com"
    for number in range(3):
        with Client(mesh) as eve:
            body = {"email": email, "password": PASSWORD, "display_name": f"Buy pills {number}"}
            assert eve.post("/v1/users", json=body).status_code == 201
            eve.sign_in(email)
            assert eve.delete("/v1/users/me").status_code == 200
    with Client(mesh) as later:
        later.register()
        eventually(lambda: mesh.mails(later.email))
    [mail] = mesh.mails(email)
    assert "pills" not in json.dumps(mail)


def test_a_registration_does_not_reveal_whether_there_is_an_account(mesh: Mesh, customer: Client) -> None:
    """The status and the fields are the same; the owner's password and name do not change."""
    with Client(mesh) as eve:
        body = {"email": customer.email.upper(), "password": "another password", "display_name": "Eve"}
        taken = eve.post("/v1/users", json=body)
        free = eve.post("/v1/users", json=body | {"email": f"{uuid.uuid4().hex}@example.com"})
    assert (taken.status_code, free.status_code) == (201, 201)
    assert taken.json().keys() == free.json().keys()
    assert taken.headers.keys() == free.headers.keys()
    assert customer.get("/v1/users/me").json()["displayName"] == "Ada"
    assert customer.sign_in(customer.email)


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"])
def test_the_metadata_is_complete(anyone: Client, path: str) -> None:
    """RFC 8414, section 2: all required fields are present, and the code flow is the only one with a response type."""
    metadata = anyone.get(path).json()
    assert metadata["response_types_supported"] == ["code"]
    assert metadata["revocation_endpoint_auth_methods_supported"] == ["none"]
    assert {"issuer", "token_endpoint", "jwks_uri"} <= metadata.keys()


def test_oauth_parameters_are_read_as_the_standard_says(mesh: Mesh, customer: Client) -> None:
    """RFC 6749, section 3.2: unknown parameters are ignored, empty ones are absent, repeated ones are errors."""
    form = {"grant_type": "password", "username": customer.email, "password": PASSWORD}
    with Client(mesh) as client:
        assert client.post("/v1/oauth2/token", data=form | {"resource": "x", "scope": ""}).status_code == 200
        assert client.post("/v1/oauth2/token", json=form | {"resource": "x"}).status_code == 200
        twice = client.post("/v1/oauth2/token", data={**form, "username": [customer.email, customer.email]})
        nothing = client.post("/v1/oauth2/token", data={"grant_type": ""})
        broken = client.post("/v1/oauth2/token", content="{", headers={"content-type": "application/json"})
        no_token = client.post("/v1/oauth2/revoke", data={"token": ""})
    for answer, field in ((twice, "username"), (nothing, "grant_type"), (broken, ""), (no_token, "token")):
        assert oauth_error(answer) == (400, "invalid_request")
        assert answer.json()["error_description"].startswith(field)


def test_an_account_is_confirmed_and_recovered_by_mail(mesh: Mesh) -> None:
    """The links of the mails confirm the address and reset the password, whose owner is informed."""
    with Client(mesh) as user, Client(mesh) as anyone:
        user.register()
        assert submit(mesh.link_in_mail(user.email, "Welcome to Meshwright")).status_code == 200
        assert user.get("/v1/users/me").json()["emailConfirmed"]
        assert anyone.post("/v1/users:requestPasswordReset", json={"email": user.email}).status_code == 200
        link = mesh.link_in_mail(user.email, "Reset your password at Meshwright")
        assert submit(link, new_password="difference engine").status_code == 200
        assert problem(user.get("/v1/users/me"))[2] == "TOKEN_REVOKED"
        user.sign_in(user.email, "difference engine")
        eventually(lambda: len(mesh.mails(user.email)) == 3)


def test_an_address_changes_by_mail(mesh: Mesh) -> None:
    """The old address is informed, the new one has the link, and counts after that."""
    with Client(mesh) as user:
        user.register()
        submit(mesh.link_in_mail(user.email, "Welcome to Meshwright"))
        new = f"{uuid.uuid4().hex}@example.com"
        answer = user.post("/v1/users/me:changeEmail", json={"email": new, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        link = mesh.link_in_mail(new, "Confirm your new address at Meshwright")
        eventually(lambda: [mail for mail in mesh.mails(user.email) if "about to change" in mail["subject"]])
        assert user.get("/v1/users/me").json()["email"] == user.email
        assert submit(link).status_code == 200
        assert user.get("/v1/users/me").json()["email"] == new
