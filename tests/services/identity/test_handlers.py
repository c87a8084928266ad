"""The methods on users, over a real channel; those on tokens are in test_grants.py, on keys in test_keys.py."""

import asyncio
from uuid import uuid4

import pytest
from meshwright.identity.v1.account_pb import ChangePasswordRequest
from meshwright.identity.v1.identity_grpc import IdentityServiceClient
from meshwright.identity.v1.identity_pb import (
    CreateUserRequest,
    DeleteUserRequest,
    GetUserRequest,
    IssueTokenRequest,
    ResolveUserRequest,
    Role,
    UpdateUserRequest,
    User,
)
from protobuf.wkt import FieldMask
from structlog.testing import capture_logs

from mesh.errors import (
    Aborted,
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    Unauthenticated,
)
from mesh.idempotency.canonical_form import canonical_form
from tests.services.identity.conftest import PASSWORD, Identity

ME = GetUserRequest(name="users/me")


def registration(**changed: str) -> CreateUserRequest:
    """Returns a valid registration with these changes."""
    fields = {"email": "ada@example.com", "password": PASSWORD, "display_name": "Ada"} | changed
    return CreateUserRequest(**fields)


async def refusal(client: IdentityServiceClient, request: CreateUserRequest) -> MeshError:
    """Returns the error of a registration."""
    with pytest.raises(MeshError) as caught:
        await client.create_user(request)
    return caught.value


async def test_a_registered_user_signs_in_and_sees_itself(identity: Identity) -> None:
    """A registered customer reads itself by "users/me" and by name."""
    user = await identity.register("Ada@Example.com", "Ada Lovelace")
    assert (user.email, user.display_name, user.role) == ("Ada@Example.com", "Ada Lovelace", Role.CUSTOMER)
    assert user.name == f"users/{user.uid}"
    assert user.create_time == user.update_time
    client = await identity.client((await identity.sign_in("ada@example.COM")).access_token)
    assert await client.get_user(ME) == user
    assert await client.get_user(GetUserRequest(name=user.name)) == user


async def test_registering_publishes_one_event_without_personal_data(identity: Identity) -> None:
    """UserRegistered is in the outbox with the user; a rejected registration publishes nothing."""
    user = await identity.register("ada@example.com")
    await refusal(await identity.client(), registration(email="ada"))
    assert await identity.events() == [("meshwright.identity.v1.UserRegistered", user.name)]
    assert await identity.count("SELECT count(*) FROM mesh.outbox WHERE payload::text LIKE $1", _hex("ada@")) == 0


async def test_a_registration_does_not_reveal_whether_the_address_has_an_account(identity: Identity) -> None:
    """The response has the same form, even if repeated; nothing changes, and the owner is notified by an event."""
    owner = await identity.register("ada@example.com")
    client, request_id = await identity.client(), str(uuid4())
    request = registration(email="ADA@example.COM", password="another password", request_id=request_id)
    answer = await client.create_user(request)
    assert (answer.email, answer.display_name, answer.role) == ("ADA@example.COM", "Ada", Role.CUSTOMER)
    assert answer.name == f"users/{answer.uid}" != owner.name
    assert (answer.etag, answer.create_time) == (owner.etag, answer.update_time)
    assert {field.name for field in answer} == {field.name for field in owner}
    assert await client.create_user(request) == answer
    assert await identity.count("SELECT count(*) FROM users") == 1
    assert await identity.events() == [
        ("meshwright.identity.v1.UserRegistered", owner.name),
        ("meshwright.identity.v1.RegistrationRepeated", owner.name),
    ]
    assert (await identity.sign_in(owner.email)).access_token, "the owner's password is what it was"


async def test_only_one_of_many_at_once_gets_an_address(identity: Identity) -> None:
    """Concurrent registrations of one address create one account."""
    client = await identity.client()
    answers = await asyncio.gather(*(client.create_user(registration()) for _ in range(6)))
    assert await identity.count("SELECT count(*) FROM users") == 1
    assert (
        sum([(await identity.events()).count(("meshwright.identity.v1.UserRegistered", each.name)) for each in answers])
        == 1
    )


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"email": ""}, "email"),
        ({"email": "no address"}, "email"),
        ({"email": "a..b@example.com"}, "email"),
        ({"email": ".a@example.com"}, "email"),
        ({"email": "a.@example.com"}, "email"),
        ({"email": '"a b"@example.com'}, "email"),
        ({"email": "ada@example"}, "email"),
        ({"email": "ada@[127.0.0.1]"}, "email"),
        ({"email": "ada@example.com\n"}, "email"),
        ({"email": f"{'a' * 65}@example.com"}, "email"),
        ({"email": f"ada@{'a' * 64}.com"}, "email"),
        ({"email": "ada\0@example.com"}, "email"),
        ({"email": "ádá@example.com"}, "email"),
        ({"email": f"{'a' * 250}@example.com"}, "email"),
        ({"password": "1234567"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"display_name": ""}, "display_name"),
        ({"display_name": " \t "}, "display_name"),
        ({"display_name": "Ada\0"}, "display_name"),
        ({"display_name": "Ada\r\nBcc: all@example.com"}, "display_name"),
        ({"display_name": "A\u2028da"}, "display_name"),
        ({"display_name": "\u202eadA"}, "display_name"),
        ({"display_name": "x" * 101}, "display_name"),
        ({"request_id": "no uuid"}, "request_id"),
    ],
)
async def test_a_wrong_field_is_named(identity: Identity, changed: dict[str, str], field: str) -> None:
    """Each invalid field of a registration is a violation, and nothing is stored."""
    error = await refusal(await identity.client(), registration(**changed))
    assert isinstance(error, InvalidArgument)
    assert {violation.field for violation in error.violations} == {field}
    assert await identity.count("SELECT count(*) FROM users") == 0


async def test_a_password_may_hold_any_character(identity: Identity) -> None:
    """NUL and characters beyond the basic plane are allowed."""
    client, password = await identity.client(), "p\0ss wörd \U0001f511"
    await client.create_user(registration(password=password))
    sign_in = IssueTokenRequest(grant_type="password", username="ada@example.com", password=password)
    assert (await client.issue_token(sign_in)).access_token
    sign_in.password = "p\0another"
    with pytest.raises(InvalidArgument, match="wrong"):
        await client.issue_token(sign_in)


async def test_calls_with_one_request_id_make_one_user(identity: Identity) -> None:
    """Concurrent and later calls with the same request_id get the same response; there is one user and one event."""
    client, request = await identity.client(), registration(request_id=str(uuid4()))
    twins = await asyncio.gather(*(client.create_user(request) for _ in range(4)))
    later = await client.create_user(request)
    assert all(twin == later for twin in twins)
    assert await identity.count("SELECT count(*) FROM users") == 1
    assert len(await identity.events()) == 1


@pytest.mark.parametrize("changed", [{"email": "b@example.com"}, {"password": "another password"}])
async def test_a_request_id_is_for_one_registration(identity: Identity, changed: dict[str, str]) -> None:
    """The same request_id with another address, or only another password, is rejected."""
    client, request_id = await identity.client(), str(uuid4())
    await client.create_user(registration(request_id=request_id))
    error = await refusal(client, registration(request_id=request_id, **changed))
    assert (type(error), error.reason) == (InvalidArgument, "REQUEST_ID_REUSED")


async def test_no_hash_of_a_request_reveals_its_password(identity: Identity) -> None:
    """With the database alone, passwords can't be guessed by the stored hash of a registration, which is a fast one."""
    request = registration(request_id=str(uuid4()))
    await (await identity.client()).create_user(request)
    assert await identity.count("SELECT count(*) FROM mesh.answers") == 1
    guess = "SELECT count(*) FROM mesh.answers WHERE request_hash = sha256($1)"
    assert await identity.count(guess, canonical_form(request)) == 0


async def test_an_update_changes_what_the_mask_names(identity: Identity) -> None:
    """display_name changes with and without a mask, and so does the etag."""
    user, client = await identity.signed_in()
    patch = User(name="users/me", display_name=" Countess ", etag=user.etag)
    updated = await client.update_user(UpdateUserRequest(user=patch, update_mask=FieldMask(paths=["display_name"])))
    assert (updated.display_name, updated.email) == ("Countess", user.email)
    assert updated.etag != user.etag
    assert await client.get_user(ME) == updated
    again = await client.update_user(UpdateUserRequest(user=User(name=user.name, display_name="Ada")))
    assert again.display_name == "Ada"


async def test_a_stale_etag_changes_nothing(identity: Identity) -> None:
    """An update or a delete of an older version is Aborted with the current etag."""
    user, client = await identity.signed_in()
    current = await client.update_user(UpdateUserRequest(user=User(name="users/me", display_name="B")))
    stale = User(name="users/me", display_name="C", etag=user.etag)
    with pytest.raises(Aborted) as update:
        await client.update_user(UpdateUserRequest(user=stale))
    with pytest.raises(Aborted) as delete:
        await client.delete_user(DeleteUserRequest(name="users/me", etag=user.etag))
    for error in (update.value, delete.value):
        assert (error.reason, error.metadata) == ("ETAG_MISMATCH", {"etag": current.etag})
    assert await client.get_user(ME) == current


async def test_of_concurrent_updates_of_one_version_one_wins(identity: Identity) -> None:
    """One of them succeeds, and the others are Aborted."""
    user, client = await identity.signed_in()
    patches = [User(name="users/me", display_name=f"Ada {number}", etag=user.etag) for number in range(4)]
    updates = (client.update_user(UpdateUserRequest(user=patch)) for patch in patches)
    results = await asyncio.gather(*updates, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["Aborted"] * 3 + ["User"]


@pytest.mark.parametrize("path", ["email", "role", "uid", "etag", "nothing", "display_name.x", ""])
async def test_a_mask_can_name_the_display_name_only(identity: Identity, path: str) -> None:
    """Another path is a violation of update_mask, whether or not the field exists."""
    user, client = await identity.signed_in()
    patch = User(name="users/me", display_name="B", email="b@example.com", role=Role.STAFF)
    with pytest.raises(InvalidArgument) as caught:
        await client.update_user(UpdateUserRequest(user=patch, update_mask=FieldMask(paths=["display_name", path])))
    assert [violation.field for violation in caught.value.violations] == ["update_mask"]
    assert await client.get_user(ME) == user


async def test_a_wrong_display_name_is_a_violation_of_the_user(identity: Identity) -> None:
    """The violation of an update has the path of the field in its request."""
    _, client = await identity.signed_in()
    with pytest.raises(InvalidArgument) as caught:
        await client.update_user(UpdateUserRequest(user=User(name="users/me", display_name="A\nB")))
    assert [violation.field for violation in caught.value.violations] == ["user.display_name"]


@pytest.mark.parametrize("form", ["{}", "urn:uuid:{}", "{}\0", "{}x"])
async def test_another_users_name_reveals_nothing(identity: Identity, form: str) -> None:
    """Every method returns the same error for another user, a missing user and an impossible name."""
    other, (_, client) = await identity.register(), await identity.signed_in()
    errors = set()
    for uid in (other.uid, str(uuid4())):
        name = f"users/{form.format(uid)}"
        for call in (
            client.get_user(GetUserRequest(name=name)),
            client.update_user(UpdateUserRequest(user=User(name=name, display_name="x"))),
            client.delete_user(DeleteUserRequest(name=name)),
        ):
            with pytest.raises(NotFound) as caught:
                await call
            errors.add((caught.value.message, caught.value.reason))
    assert len(errors) == 1


async def test_staff_may_not_read_others_either(identity: Identity) -> None:
    """The role does not allow reading other users."""
    user, other = await identity.register(), await identity.register()
    await identity.execute("UPDATE users SET role = 'staff' WHERE uid = $1::text::uuid", user.uid)
    client = await identity.client((await identity.sign_in(user.email)).access_token)
    assert (await client.get_user(ME)).role == Role.STAFF
    with pytest.raises(NotFound):
        await client.get_user(GetUserRequest(name=other.name))


async def test_a_deleted_user_can_do_nothing_more(identity: Identity) -> None:
    """After the deletion the access token, the refresh token and the password are invalid."""
    user = await identity.register()
    tokens = await identity.sign_in(user.email)
    client = await identity.client(tokens.access_token)
    await client.delete_user(DeleteUserRequest(name="users/me", etag=user.etag))
    for call in (
        client.get_user(ME),
        client.update_user(UpdateUserRequest(user=User(name=user.name, display_name="x"))),
        client.delete_user(DeleteUserRequest(name=user.name)),
    ):
        with pytest.raises(Unauthenticated) as caught:
            await call
        assert caught.value.reason == "TOKEN_REVOKED"
    refresh = IssueTokenRequest(grant_type="refresh_token", refresh_token=tokens.refresh_token)
    for grant in ((await identity.client()).issue_token(refresh), identity.sign_in(user.email)):
        with pytest.raises(InvalidArgument) as refused:
            await grant
        assert refused.value.reason == "INVALID_GRANT"


async def test_a_deleted_user_leaves_no_personal_data(identity: Identity) -> None:
    """No table has the address or the name, nor has the stored answer; UserDeleted is published."""
    request = registration(email="gone@example.com", display_name="Gonegirl", request_id=str(uuid4()))
    user = await (await identity.client()).create_user(request)
    assert await _traces(identity, "gone@example.com") == {"public.users", "public.one_time_tokens", "mesh.answers"}
    again = registration(email="Gone@Example.com", display_name="Gonegirl", request_id=str(uuid4()))
    await (await identity.client()).create_user(again)
    client = await identity.client((await identity.sign_in(user.email)).access_token)
    changed = ChangePasswordRequest(
        name="users/me", old_password=PASSWORD, new_password="new password", request_id=str(uuid4())
    )
    await client.change_password(changed)
    await client.delete_user(DeleteUserRequest(name="users/me"))
    assert await _traces(identity, "gone@example.com") == set()
    assert await identity.count("SELECT count(*) FROM mesh.answers") == 0
    assert await _traces(identity, "Gonegirl") == set()
    assert await identity.count("SELECT count(*) FROM refresh_families") == 0
    assert (await identity.events())[-1] == ("meshwright.identity.v1.UserDeleted", user.name)


async def test_the_address_of_a_deleted_user_is_free(identity: Identity) -> None:
    """Another user can register with it."""
    first = await identity.register("ada@example.com")
    client = await identity.client((await identity.sign_in(first.email)).access_token)
    await client.delete_user(DeleteUserRequest(name="users/me"))
    assert (await identity.register("ada@example.com")).uid != first.uid


async def test_only_the_named_workload_resolves_users(identity: Identity) -> None:
    """notifications gets the address and the name; other workloads, users and anonymous callers do not."""
    user, user_client = await identity.signed_in()
    request = ResolveUserRequest(user=user.name)
    resolved = await (await identity.workload("notifications")).resolve_user(request)
    assert (resolved.email, resolved.display_name) == (user.email, user.display_name)
    for client in (user_client, await identity.workload("orders")):
        with pytest.raises(PermissionDenied), capture_logs() as logs:
            await client.resolve_user(request)
        [line] = [line for line in logs if line.get("logger") == "audit"]
        assert (line["event"], line["reason"]) == ("access_refused", "CALLER_NOT_ALLOWED")
    with pytest.raises(Unauthenticated):
        await (await identity.client()).resolve_user(request)


@pytest.mark.parametrize("name", ["users/3ef99958-0a2c-4780-ace7-26722d66c4d3", "users/me", "users/\0", "users/x"])
async def test_an_unknown_user_is_not_resolved(identity: Identity, name: str) -> None:
    """An unknown name is NotFound."""
    client = await identity.workload("notifications")
    with pytest.raises(NotFound):
        await client.resolve_user(ResolveUserRequest(user=name))


def _hex(text: str) -> str:
    return f"%{text.encode().hex()}%"


async def _traces(identity: Identity, text: str) -> set[str]:
    """Returns the tables that hold this text, as text or as bytes."""
    async with identity.database.transaction() as tx:
        tables = await tx.fetch("SELECT schemaname, tablename FROM pg_tables WHERE schemaname IN ('public', 'mesh')")
        names = {f"{table['schemaname']}.{table['tablename']}" for table in tables}
        query = "SELECT EXISTS (SELECT FROM {} AS t WHERE t::text LIKE $1 OR t::text LIKE $2)"
        return {name for name in names if await tx.fetchval(query.format(name), f"%{text}%", _hex(text))}
