"""Passwords: their hashes, and what happens when many come at once."""

import asyncio

import pytest

from mesh.errors import ResourceExhausted
from services.identity.passwords import Passwords


async def test_a_hash_verifies_its_password_only(passwords: Passwords) -> None:
    """argon2id with a salt of its own each time."""
    first, second = await passwords.hash("a password"), await passwords.hash("a password")
    assert first.startswith("$argon2id$")
    assert first != second
    assert await passwords.verify(first, "a password")
    assert not await passwords.verify(first, "a passwore")


async def test_no_account_verifies_nothing(passwords: Passwords) -> None:
    """Where there is no hash the answer is no, whatever the password, with as much work as otherwise."""
    for password in ("", "a password"):
        assert not await passwords.verify(None, password)


async def test_a_flood_is_turned_away_and_does_no_lasting_harm() -> None:
    """Beyond the queue's length callers are told when to come back; those in it are served, and later ones too."""
    async with Passwords.open(1) as passwords:
        results = await asyncio.gather(*(passwords.hash("x") for _ in range(60)), return_exceptions=True)
        refused = [result for result in results if isinstance(result, ResourceExhausted)]
        assert len(refused) == 60 - 51
        assert all(error.retry_after_s for error in refused)
        assert sum(isinstance(result, str) for result in results) == 51
        assert await passwords.hash("x")


async def test_callers_who_gave_up_free_their_places() -> None:
    """A call whose deadline has passed is not computed and takes no place in the queue."""
    async with Passwords.open(1) as passwords:
        waiting = [asyncio.create_task(passwords.hash("x")) for _ in range(51)]
        await asyncio.sleep(0)
        with pytest.raises(ResourceExhausted):
            await passwords.hash("x")
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert await passwords.hash("x")
