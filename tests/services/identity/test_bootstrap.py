"""The preparation at the start: the first staff account."""

import asyncio

import pytest
from meshwright.identity.v1.identity_pb import GetUserRequest, Role

from mesh.errors import InvalidArgument, MeshError, Unavailable
from services.identity import bootstrap
from services.identity.bootstrap import ensure_staff, until_available
from tests.services.identity.conftest import PASSWORD, Identity

STAFF = "staff@example.com"


async def test_replicas_that_start_at_once_make_one_staff_account(identity: Identity) -> None:
    """One of them creates it, the others find it, and it can sign in."""
    starts = (ensure_staff(identity.database, identity.passwords, STAFF, PASSWORD) for _ in range(4))
    await asyncio.gather(*starts)
    assert await identity.count("SELECT count(*) FROM users") == 1
    client = await identity.client((await identity.sign_in(STAFF)).access_token)
    assert (await client.get_user(GetUserRequest(name="users/me"))).role == Role.STAFF


async def test_a_later_start_leaves_the_account_as_it_is(identity: Identity) -> None:
    """Another STAFF_PASSWORD does not change the password of an existing account."""
    await ensure_staff(identity.database, identity.passwords, STAFF, PASSWORD)
    await ensure_staff(identity.database, identity.passwords, STAFF.upper(), "another password")
    assert await identity.count("SELECT count(*) FROM users") == 1
    assert (await identity.sign_in(STAFF)).access_token


async def test_a_customer_with_the_staff_address_is_not_made_staff(identity: Identity) -> None:
    """A customer who registered with that address first stays a customer."""
    await identity.register(STAFF)
    await ensure_staff(identity.database, identity.passwords, STAFF, "another password")
    assert await identity.count("SELECT count(*) FROM users WHERE role = 'staff'") == 0
    assert "catalog.write" not in (await identity.sign_in(STAFF)).scope


async def test_a_start_waits_for_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is retried while the database is away; any other error ends the start."""
    monkeypatch.setattr(bootstrap, "RETRY_EVERY_S", 0)
    errors: list[MeshError] = [Unavailable("away"), Unavailable("away")]
    done: list[str] = []

    async def step() -> None:
        if errors:
            raise errors.pop()
        done.append("step")

    await until_available(step)
    assert done == ["step"]
    errors.append(InvalidArgument("wrong"))
    with pytest.raises(InvalidArgument):
        await until_available(step)
