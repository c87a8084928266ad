"""Passwords, hashed with argon2id (RFC 9106) away from the event loop."""

import asyncio
import ctypes
import secrets
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Self, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from mesh.errors import ResourceExhausted

T = TypeVar("T")

# OWASP's first choice for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane. It bounds what a
# sign-in costs: MEMORY_KIB times the hashes computed at once is the most memory that passwords ever take.
MEMORY_KIB = 19 * 1024
PASSES = 2
LANES = 1

# How many may wait for each one that is computed: some seconds' worth, as a caller waits no longer.
WAITING_PER_WORKER_MAX = 50
RETRY_AFTER_S = 2.0

_M_MMAP_THRESHOLD = -3  # malloc.h


class Passwords:
    """Hashes and verifies, a few at a time; when too many wait, a caller is told to come back."""

    def __init__(self, executor: ThreadPoolExecutor, workers: int, dummy_hash: str) -> None:
        self._executor = executor
        self._pending_max = workers * (1 + WAITING_PER_WORKER_MAX)
        self._pending = 0
        self._dummy_hash = dummy_hash

    @classmethod
    @asynccontextmanager
    async def open(cls, workers: int) -> AsyncIterator[Self]:
        """Computes at most `workers` hashes at once, for as long as the block lasts."""
        _return_freed_memory()
        with ThreadPoolExecutor(workers, thread_name_prefix="passwords") as executor:
            loop = asyncio.get_running_loop()
            dummy_hash = await loop.run_in_executor(executor, _hash, secrets.token_urlsafe())
            yield cls(executor, workers, dummy_hash)

    async def hash(self, password: str) -> str:
        """The hash to keep, with its parameters and a fresh salt. Raises ResourceExhausted when too many wait."""
        return await self._run(lambda: _hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether this is the password. Without a hash, for want of an account, the answer is no and takes as long.

        Raises ResourceExhausted when too many wait.
        """
        right = await self._run(lambda: _verify(password_hash or self._dummy_hash, password))
        return right and password_hash is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pending >= self._pending_max:
            raise ResourceExhausted(
                "Too many people sign in or register right now. Try again.",
                reason="PASSWORD_QUEUE_FULL",
                retry_after_s=RETRY_AFTER_S,
            )
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._pending -= 1


def _return_freed_memory() -> None:
    """glibc keeps blocks as large as a hash's once the first was freed, so that each worker would hold on to 19 MiB;
    a fixed threshold makes it give them back (mallopt(3)). Other C libraries have no such call, or no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)


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
    """The same characters are the same password on every keyboard: NFC, as RFC 8265, section 4.2.2 has it."""
    return unicodedata.normalize("NFC", password).encode()
