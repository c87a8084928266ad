"""Hashing of passwords with argon2id (RFC 9106), outside of the event loop."""

import asyncio
import secrets
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from mesh.errors import ResourceExhausted
from mesh.malloc import return_blocks_from

T = TypeVar("T")

# OWASP's first choice for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane. The memory is bounded
# by MEMORY_KIB times the number of hashes that are computed at the same time.
MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1

# The most requests that wait for each worker: those of some seconds, because callers don't wait longer.
WAITING_PER_WORKER_MAX = 50
RETRY_AFTER_S = 2.0

# A worker would otherwise keep MEMORY_KIB after its first hash.
RETURNED_BLOCK_BYTES = 1024 * 1024


class Passwords:
    """The hashing and verification of passwords, a few at a time. Rejects calls when too many wait."""

    def __init__(self, executor: ThreadPoolExecutor, workers: int, dummy_hash: str) -> None:
        self._executor = executor
        self._pending_max = workers * (1 + WAITING_PER_WORKER_MAX)
        self._pending = 0
        self._dummy_hash = dummy_hash

    @classmethod
    @asynccontextmanager
    async def open(cls, workers: int) -> AsyncIterator[Self]:
        """Starts threads that compute at most `workers` hashes at once, and stops them at the end of the block."""
        return_blocks_from(RETURNED_BLOCK_BYTES)
        with ThreadPoolExecutor(workers, thread_name_prefix="passwords") as executor:
            loop = asyncio.get_running_loop()
            dummy_hash = await loop.run_in_executor(executor, _hash, secrets.token_urlsafe())
            yield cls(executor, workers, dummy_hash)

    async def hash(self, password: str) -> str:
        """Returns the hash of a password, with its parameters and a new salt. Raises ResourceExhausted if too many
        calls wait.
        """
        return await self._run(lambda: _hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Returns whether the password matches the hash. Without a hash, because there is no account, returns False
        after the same time. Raises ResourceExhausted if too many calls wait.
        """
        right = await self._run(lambda: _verify(password_hash or self._dummy_hash, password))
        return right and password_hash is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= self._pending_max:
            raise ResourceExhausted(
                "Too many users are signing in or registering now. Try again.",
                reason="PASSWORD_QUEUE_FULL",
                retry_after_s=RETRY_AFTER_S,
            )
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._pending -= 1


def _hasher() -> PasswordHasher:
    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


def _hash(password: str) -> str:
    return _hasher().hash(_octets(password))


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _hasher().verify(password_hash, _octets(password))
    except VerifyMismatchError:
        return False


def _octets(password: str) -> bytes:
    """Returns the password in NFC (RFC 8265, section 4.2.2), so that it is the same on every keyboard."""
    return unicodedata.normalize("NFC", password).encode()
