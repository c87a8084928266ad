"""The hashing of passwords, and the limit on its queue."""

import asyncio

import pytest

from mesh.errors import ResourceExhausted
from services.identity.passwords import Passwords


async def test_a_hash_verifies_its_password_only(passwords: Passwords) -> None:
    """Each hash is argon2id with a salt of its own."""
    first, second = await passwords.hash("a password"), await passwords.hash("a password")
    assert first.startswith("$argon2id$")
    assert first != second
    assert await passwords.verify(first, "a password")
    assert not await passwords.verify(first, "a passwore")


async def test_no_account_verifies_nothing(passwords: Passwords) -> None:
    """Without a hash the result is False, after as much work as otherwise."""
    for password in ("", "a password"):
        assert not await passwords.verify(None, password)


async def test_calls_beyond_the_queue_are_rejected() -> None:
    """Rejected callers get a retry delay; those in the queue are served, and later ones too."""
    async with Passwords.open(1) as passwords:
        results = await asyncio.gather(*(passwords.hash("x") for _ in range(60)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, ResourceExhausted)]
        assert len(refused) == 60 - 51
        assert all(error.retry_after_s for error in refused)
        assert sum(isinstance(result, str) for result in results) == 51
        assert await passwords.hash("x")


async def test_callers_who_gave_up_free_their_places() -> None:
    """A cancelled call is not computed and does not count for the queue."""
    async with Passwords.open(1) as passwords:
        waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(51)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted):
            await passwords.hash("x")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await passwords.hash("x")
