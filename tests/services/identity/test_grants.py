"""The token endpoint and revocation, over a real channel."""

import asyncio
import base64
import json

import pytest
from joserfc import jws
from meshwright.identity.v1.identity_grpc import IdentityServiceClient
from meshwright.identity.v1.identity_pb import (
    CreateUserRequest,
    GetUserRequest,
    IssueTokenRequest,
    RevokeTokenRequest,
    Token,
)

from mesh.errors import InvalidArgument, MeshError, Unauthenticated
from mesh.rpc import Call
from services.identity import storage
from services.identity.tokens import AccessTokens
from tests.services.identity.conftest import AUDIENCE, CLIENT_SECRETS, ISSUER, Identity

ISSUE_TOKEN = "/meshwright.identity.v1.IdentityService/IssueToken"
CUSTOMER_SCOPES = "orders.read orders.write payments.read profile support.read support.write"
STAFF_SCOPES = (
    "analytics.read catalog.write inventory.read inventory.write orders.manage orders.read orders.write "
    "payments.manage payments.read profile support.manage support.read support.write"
)
BY_CLIENT = IssueTokenRequest(grant_type="client_credentials")


def by_refresh(token: Token, scope: str = "") -> IssueTokenRequest:
    """Returns the request that exchanges a refresh token."""
    return IssueTokenRequest(grant_type="refresh_token", refresh_token=token.refresh_token, scope=scope)


async def refused(client: IdentityServiceClient, request: IssueTokenRequest) -> MeshError:
    """Returns the error of the token endpoint."""
    with pytest.raises(MeshError) as caught:
        await client.issue_token(request)
    return caught.value


async def basic(identity: Identity, credentials: bytes, request: IssueTokenRequest = BY_CLIENT) -> Token:
    """Requests a token with HTTP Basic authentication, as the edge forwards it."""
    header = "Basic " + base64.b64encode(credentials).decode()
    channel = await identity.channel()
    reply = await channel.unary(ISSUE_TOKEN, request.to_binary(), timeout_s=5, metadata=[("authorization", header)])
    return Token.from_binary(reply.message)


async def test_an_access_token_has_the_claims_of_rfc_9068(identity: Identity) -> None:
    """Header and claims are those of the profile; the response has the lifetime and the scopes."""
    user = await identity.register()
    token = await identity.sign_in(user.email)
    signed = jws.deserialize_compact(token.access_token, identity.keys.current, algorithms=["ES256"])
    claims = json.loads(signed.payload or b"")
    assert signed.headers() == {"typ": "at+jwt", "alg": "ES256", "kid": identity.keys.current.kid}
    assert claims.keys() == {"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "sid"}
    assert (claims["iss"], claims["sub"], claims["aud"]) == (ISSUER, user.name, AUDIENCE)
    assert claims["exp"] - claims["iat"] == token.expires_in == 900
    assert claims["scope"] == token.scope == CUSTOMER_SCOPES
    assert token.token_type == "Bearer"


async def test_a_wrong_password_and_an_unknown_account_are_the_same(identity: Identity) -> None:
    """Neither the error nor its reason reveals whether the address has an account."""
    user, client = await identity.register(), await identity.client()
    errors = [
        await refused(client, IssueTokenRequest(grant_type="password", username=username, password="wrong password"))
        for username in (user.email, "nobody@example.com", "nobody", "nul\0@example.com", "ñ@example.com")
    ]
    assert len({(type(error), error.reason, error.message) for error in errors}) == 1
    assert (type(errors[0]), errors[0].reason) == (InvalidArgument, "INVALID_GRANT")


@pytest.mark.parametrize(
    ("request_", "missing"),
    [
        (IssueTokenRequest(grant_type="password"), ["username", "password"]),
        (IssueTokenRequest(grant_type="password", username="a@example.com"), ["password"]),
        (IssueTokenRequest(grant_type="refresh_token"), ["refresh_token"]),
    ],
)
async def test_every_missing_parameter_is_named(
    identity: Identity, request_: IssueTokenRequest, missing: list[str]
) -> None:
    """Each required parameter that is missing is a violation."""
    error = await refused(await identity.client(), request_)
    assert (type(error), error.reason) == (InvalidArgument, "INVALID_REQUEST")
    assert [violation.field for violation in error.violations] == missing


@pytest.mark.parametrize(("role", "scopes"), [("customer", CUSTOMER_SCOPES), ("staff", STAFF_SCOPES)])
async def test_scopes_are_those_of_the_role(identity: Identity, role: str, scopes: str) -> None:
    """By default a token has all scopes of the role."""
    user = await identity.register()
    await identity.execute("UPDATE users SET role = $1", role)
    assert (await identity.sign_in(user.email)).scope == scopes


async def test_requested_scopes_limit_the_sign_in(identity: Identity) -> None:
    """A sign-in with fewer scopes never gets more by a refresh."""
    user = await identity.register()
    token = await identity.sign_in(user.email, "orders.read")
    client = await identity.client(token.access_token)
    assert token.scope == "orders.read"
    with pytest.raises(MeshError) as caught:
        await client.get_user(GetUserRequest(name="users/me"))
    assert (caught.value.reason, caught.value.metadata) == ("SCOPE_MISSING", {"scope": "profile"})
    assert (await refused(client, by_refresh(token, "orders.read profile"))).reason == "INVALID_SCOPE"
    assert (await client.issue_token(by_refresh(token))).scope == "orders.read"


@pytest.mark.parametrize("scope", ["catalog.write", "profile nothing", "\0", "profile\torders.read"])
async def test_a_scope_beyond_the_role_is_refused(identity: Identity, scope: str) -> None:
    """A customer can't get scopes of staff, and unknown scopes are named."""
    user = await identity.register()
    with pytest.raises(InvalidArgument) as caught:
        await identity.sign_in(user.email, scope)
    assert caught.value.reason == "INVALID_SCOPE"
    assert [violation.field for violation in caught.value.violations] == ["scope"]


async def test_a_role_that_is_lost_is_lost_at_the_next_refresh(identity: Identity) -> None:
    """A refresh grants only scopes of the current role."""
    user = await identity.register()
    await identity.execute("UPDATE users SET role = 'staff'")
    token = await identity.sign_in(user.email)
    await identity.execute("UPDATE users SET role = 'customer'")
    assert (await (await identity.client()).issue_token(by_refresh(token))).scope == CUSTOMER_SCOPES


async def test_a_refresh_token_gives_the_next(identity: Identity) -> None:
    """Each refresh returns another refresh token and a valid access token."""
    user = await identity.register()
    token, client = await identity.sign_in(user.email), await identity.client()
    seen = {token.refresh_token}
    for _ in range(3):
        token = await client.issue_token(by_refresh(token))
        seen.add(token.refresh_token)
    assert len(seen) == 4
    me = await (await identity.client(token.access_token)).get_user(GetUserRequest(name="users/me"))
    assert me == user


async def test_a_refresh_token_used_again_ends_its_sign_in_only(identity: Identity) -> None:
    """Even the newest token of the family is then invalid; other sign-ins of the user are not affected."""
    user = await identity.register()
    first, other = await identity.sign_in(user.email), await identity.sign_in(user.email)
    client = await identity.client()
    second = await client.issue_token(by_refresh(first))
    assert (await refused(client, by_refresh(first))).reason == "INVALID_GRANT"
    assert (await refused(client, by_refresh(second))).reason == "INVALID_GRANT"
    assert (await client.issue_token(by_refresh(other))).access_token


async def test_of_concurrent_refreshes_one_succeeds_and_the_sign_in_ends(identity: Identity) -> None:
    """One of two concurrent uses succeeds; the other one ends the family."""
    user = await identity.register()
    token, client = await identity.sign_in(user.email), await identity.client()
    results = await asyncio.gather(*(client.issue_token(by_refresh(token)) for _ in range(4)), return_exceptions=True)
    new = [result for result in results if isinstance(result, Token)]
    assert len(new) == 1
    assert (await refused(client, by_refresh(new[0]))).reason == "INVALID_GRANT"


async def test_a_refused_scope_does_not_use_the_token_up(identity: Identity) -> None:
    """After the error, the token can be used with fewer scopes."""
    user = await identity.register()
    token, client = await identity.sign_in(user.email), await identity.client()
    assert (await refused(client, by_refresh(token, "catalog.write"))).reason == "INVALID_SCOPE"
    assert (await client.issue_token(by_refresh(token, "profile"))).scope == "profile"


async def test_an_expired_refresh_token_is_refused(identity: Identity) -> None:
    """A refresh token is invalid after its lifetime."""
    user = await identity.register()
    token = await identity.sign_in(user.email)
    await identity.execute("UPDATE refresh_families SET expire_time = now()")
    assert (await refused(await identity.client(), by_refresh(token))).reason == "INVALID_GRANT"


@pytest.mark.parametrize("text", ["x", "\0", "ü" * 64, "!" * 64, "A" * 64, "A" * 512])
async def test_a_malformed_refresh_token_is_rejected(identity: Identity, text: str) -> None:
    """For the token endpoint it is an invalid grant; revocation ignores it."""
    client = await identity.client()
    request = IssueTokenRequest(grant_type="refresh_token", refresh_token=text)
    assert (await refused(client, request)).reason == "INVALID_GRANT"
    await client.revoke_token(RevokeTokenRequest(token=text))


async def test_a_revoked_refresh_token_is_invalid(identity: Identity) -> None:
    """Revocation ends the sign-in, even by a used token, and can be repeated."""
    user, client = await identity.register(), await identity.client()
    first = await identity.sign_in(user.email)
    second = await client.issue_token(by_refresh(first))
    for _ in range(2):
        await client.revoke_token(RevokeTokenRequest(token=first.refresh_token, token_type_hint="refresh_token"))
    assert (await refused(client, by_refresh(second))).reason == "INVALID_GRANT"


async def test_the_database_holds_no_token(identity: Identity) -> None:
    """Neither the text of a refresh token nor its secret is in the database."""
    user = await identity.register()
    token = await identity.sign_in(user.email)
    octets = base64.urlsafe_b64decode(token.refresh_token)
    stored = "SELECT count(*) FROM refresh_families AS f WHERE f::text LIKE $1 OR f::text LIKE $2"
    assert await identity.count(stored, f"%{token.refresh_token}%", f"%{octets[16:].hex()}%") == 0
    assert await identity.count("SELECT count(*) FROM refresh_families WHERE token_hash = sha256($1)", octets[16:]) == 1


async def test_the_sign_ins_of_a_user_are_limited(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sign-in beyond the limit ends the longest unused one; expired ones are deleted first."""
    monkeypatch.setattr(storage, "FAMILIES_PER_USER_MAX", 2)
    user, client = await identity.register(), await identity.client()
    first, second = await identity.sign_in(user.email), await identity.sign_in(user.email)
    first = await client.issue_token(by_refresh(first))
    third = await identity.sign_in(user.email)
    assert (await refused(client, by_refresh(second))).reason == "INVALID_GRANT"
    for token in (first, third):
        assert (await client.issue_token(by_refresh(token))).access_token


async def test_a_sign_in_beyond_the_limit_ends_access_tokens(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The access token of the sign-in that it replaces is rejected, as after a revocation."""
    monkeypatch.setattr(storage, "FAMILIES_PER_USER_MAX", 1)
    user = await identity.register()
    replaced = await identity.client((await identity.sign_in(user.email)).access_token)
    await replaced.get_user(GetUserRequest(name=user.name))
    newest = await identity.client((await identity.sign_in(user.email)).access_token)
    with pytest.raises(Unauthenticated) as caught:
        await replaced.get_user(GetUserRequest(name=user.name))
    assert caught.value.reason == "TOKEN_REVOKED"
    assert (await newest.get_user(GetUserRequest(name=user.name))).email == user.email


async def test_an_expired_sign_in_ends_no_access_tokens(identity: Identity) -> None:
    """The list of ended tokens does not grow by sign-ins whose access tokens have expired."""
    user = await identity.register()
    await identity.sign_in(user.email)
    await identity.execute("UPDATE refresh_families SET expire_time = now(), last_use_time = now() - interval '1 day'")
    before = await identity.count("SELECT count(*) FROM ended_tokens")
    await identity.sign_in(user.email)
    assert await identity.count("SELECT count(*) FROM ended_tokens") == before


async def test_a_workload_gets_a_token_by_its_secret_in_the_body(identity: Identity) -> None:
    """The token's subject is the workload; there are no scopes and no refresh token."""
    request = IssueTokenRequest(
        grant_type="client_credentials", client_id="orders", client_secret=CLIENT_SECRETS["orders"]
    )
    token = await (await identity.client()).issue_token(request)
    signed = jws.deserialize_compact(token.access_token, identity.keys.current, algorithms=["ES256"])
    claims = json.loads(signed.payload or b"")
    assert (claims["sub"], claims["client_id"], claims["scope"]) == ("workloads/orders", "orders", "")
    assert (token.refresh_token, token.scope) == ("", "")


@pytest.mark.parametrize("credentials", [b"orders:orders-secret-0123", b"orders:orders%2Dsecret-0123"])
async def test_a_workload_gets_a_token_by_basic_authentication(identity: Identity, credentials: bytes) -> None:
    """The secret may be form-encoded, by RFC 6749."""
    assert (await basic(identity, credentials)).access_token
    named = IssueTokenRequest(grant_type="client_credentials", client_id="orders")
    assert (await basic(identity, credentials, named)).access_token


@pytest.mark.parametrize(
    "credentials", [b"", b":", b"orders", b"orders:", b"nobody:", b"nobody:x", b"orders:wrong", b"\xff:\xff", b"\0:\0"]
)
async def test_a_wrong_client_is_unauthenticated(identity: Identity, credentials: bytes) -> None:
    """An unknown client, a wrong secret and malformed credentials are the same error."""
    with pytest.raises(Unauthenticated) as caught:
        await basic(identity, credentials)
    assert (caught.value.reason, caught.value.message) == (
        "INVALID_CLIENT",
        "The client is unknown or its secret is wrong.",
    )


@pytest.mark.parametrize(("client_id", "secret"), [("", ""), ("orders", ""), ("orders", "ü" * 20), ("nobody", "x")])
async def test_a_wrong_client_in_the_body_is_unauthenticated(identity: Identity, client_id: str, secret: str) -> None:
    """A missing client, a missing secret and a wrong one are the same error."""
    request = IssueTokenRequest(grant_type="client_credentials", client_id=client_id, client_secret=secret)
    error = await refused(await identity.client(), request)
    assert (type(error), error.reason) == (Unauthenticated, "INVALID_CLIENT")


async def test_credentials_in_two_places_are_refused(identity: Identity) -> None:
    """RFC 6749, section 2.3: a client must not use more than one method of authentication."""
    twice = IssueTokenRequest(grant_type="client_credentials", client_secret=CLIENT_SECRETS["orders"])
    another = IssueTokenRequest(grant_type="client_credentials", client_id="notifications")
    for request in (twice, another):
        with pytest.raises(InvalidArgument) as caught:
            await basic(identity, b"orders:orders-secret-0123", request)
        assert caught.value.reason == "INVALID_REQUEST"


async def test_a_workload_has_no_scopes_to_ask_for(identity: Identity) -> None:
    """A scope with client_credentials is rejected."""
    request = IssueTokenRequest(grant_type="client_credentials", scope="profile")
    with pytest.raises(InvalidArgument) as caught:
        await basic(identity, b"orders:orders-secret-0123", request)
    assert caught.value.reason == "INVALID_SCOPE"


async def test_an_unknown_grant_is_refused(identity: Identity) -> None:
    """The violation has the field grant_type, and names the supported grants."""
    error = await refused(await identity.client(), IssueTokenRequest(grant_type="implicit"))
    assert isinstance(error, InvalidArgument)
    assert [violation.field for violation in error.violations] == ["grant_type"]


async def test_an_unknown_grant_is_refused_by_the_handler_too(identity: Identity) -> None:
    """Without the contract's rule, the handler returns the error of RFC 6749, section 5.2."""
    with pytest.raises(InvalidArgument) as caught:
        await identity.handlers.issue_token(IssueTokenRequest(grant_type="implicit"), Call(ISSUE_TOKEN))
    assert caught.value.reason == "UNSUPPORTED_GRANT_TYPE"


async def test_an_expired_token_has_its_own_reason(identity: Identity) -> None:
    """A client can find out that it should refresh."""
    user = await identity.register()
    expired = AccessTokens(identity.keys, ISSUER, AUDIENCE, -1).issue(user.name, "public", frozenset({"profile"}))
    with pytest.raises(Unauthenticated) as caught:
        await (await identity.client(expired.text)).get_user(GetUserRequest(name="users/me"))
    assert caught.value.reason == "TOKEN_EXPIRED"


async def test_a_token_that_was_changed_is_refused(identity: Identity) -> None:
    """Another subject with the old signature, no signature and another issuer are rejected."""
    user, other = await identity.register(), await identity.register()
    token = (await identity.sign_in(user.email)).access_token
    header, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = _part(claims | {"sub": other.name})
    elsewhere = AccessTokens(identity.keys, "https://elsewhere.test", AUDIENCE, 900)
    for bad in (
        f"{header}.{forged}.{signature}",
        f"{_part({'alg': 'none', 'typ': 'at+jwt', 'kid': identity.keys.current.kid})}.{forged}.",
        elsewhere.issue(user.name, "public", frozenset({"profile"})).text,
    ):
        with pytest.raises(Unauthenticated) as caught:
            await (await identity.client(bad)).get_user(GetUserRequest(name="users/me"))
        assert caught.value.reason == "TOKEN_INVALID"


async def test_a_password_registered_in_one_normal_form_works_in_the_other(identity: Identity) -> None:
    """Composed and decomposed characters are the same password."""
    client = await identity.client()
    await client.create_user(CreateUserRequest(email="a@example.com", password="caf\u00e9 au lait", display_name="A"))
    request = IssueTokenRequest(grant_type="password", username="a@example.com", password="cafe\u0301 au lait")
    assert (await client.issue_token(request)).access_token


def _part(fields: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
