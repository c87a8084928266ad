"""A copy of the issuer's list of ended tokens, fetched by a long poll."""

import asyncio
import time
from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urlencode
from uuid import uuid4

import structlog

from mesh.background import stop
from mesh.errors import Unavailable
from mesh.identity.fetch import FetchError, fetch_json
from mesh.identity.refresh import READY_WITHOUT_S

log = structlog.get_logger()


class RemoteEndedTokens:
    """A copy of the list at a URL, updated by a long poll while its context lasts.

    While the issuer is away the copy does not change: no token can end then, and tokens that an issuer behind a broken
    network ends stay valid here until they expire, within minutes. A process that has never loaded the list verifies no
    token, unless the issuer has no such list (404, 501), like one of an earlier version during an upgrade. Such a
    process is not ready for READY_WITHOUT_S, so that the first calls to a new replica don't wait for the list.
    """

    name = "list of ended tokens"
    WAIT_S = 5  # nothing shows that a poll hangs, on a replica or a network that has failed, until it is overdue
    TIMEOUT_S = 8.0
    FIRST_WAIT_S = 3.0
    EVERY_S = 0.03
    PAUSE_FIRST_S = 0.1
    PAUSE_MAX_S = 1.0  # less than the time for which the issuer waits for its readers
    WARN_AFTER_S = 10.0
    ENTRIES_MAX = 200_000

    def __init__(self, url: str) -> None:
        self._url = url
        self._reader = str(uuid4())
        self._after = ""
        self._expire_at: dict[str, float] = {}
        self._whole = False
        self._loaded = asyncio.Event()
        self._ready_without_at = float("-inf")
        self._pause_s = self.PAUSE_FIRST_S
        self._failing_since: float | None = None
        self._warned = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._ready_without_at = time.monotonic() + READY_WITHOUT_S
        self._task = asyncio.create_task(self._follow(), name="ended tokens")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            await stop([self._task])

    async def check(self) -> None:
        """Raises Unavailable until the list is loaded, for READY_WITHOUT_S at most."""
        if not self._loaded.is_set() and time.monotonic() < self._ready_without_at:
            raise Unavailable("The list of ended tokens has not been fetched yet.")

    async def ready(self) -> None:
        """Waits until the list is loaded. Raises Unavailable if that takes too long."""
        if self._loaded.is_set():
            return
        try:
            async with asyncio.timeout(self.FIRST_WAIT_S):
                await self._loaded.wait()
        except TimeoutError:
            raise Unavailable(
                "Access tokens can't be verified for now.", reason="ENDED_TOKENS_UNAVAILABLE", retry_after_s=1
            ) from None

    def holds(self, ids: Iterable[str]) -> bool:
        """Returns whether the list holds one of these entries."""
        return bool(self._expire_at) and any(each in self._expire_at for each in ids)

    async def _follow(self) -> None:
        while True:
            begun, waited = time.monotonic(), self._whole
            try:
                news = await self._poll()
            except Exception as error:  # noqa: BLE001 # the process keeps polling after any failure
                self._failed(error)
            else:
                self._succeeded()
                took_s = time.monotonic() - begun
                if news or not waited or took_s >= 1:
                    await asyncio.sleep(self.EVERY_S - took_s)  # so that one poll returns many entries
                    continue
                # The issuer did not wait: it is stopping, or has too many readers.
            await asyncio.sleep(self._pause_s)
            if time.monotonic() >= self._ready_without_at:  # before, the issuer may be starting, too
                self._pause_s = min(2 * self._pause_s, self.PAUSE_MAX_S)

    async def _poll(self) -> bool:
        """Adds the entries that are new since the last poll; returns whether there may be more at once. The list is
        complete when a poll that did not wait found nothing new.
        """
        query = {"after": self._after, "reader": self._reader, "wait_s": str(self.WAIT_S) if self._whole else "0"}
        answer = await fetch_json(f"{self._url}?{urlencode(query)}", timeout_s=self.TIMEOUT_S)
        entries = {str(each["id"]): _unix_time(each["expire_time"]) for each in answer.get("ended", [])}
        after = str(answer["next_after"])
        now = time.time()
        for key in [key for key, expire_at in self._expire_at.items() if expire_at < now]:
            del self._expire_at[key]
        if len(self._expire_at) + len(entries) > self.ENTRIES_MAX:
            raise ValueError(f"the list has more than {self.ENTRIES_MAX} entries")
        self._expire_at |= entries
        news, self._after = after != self._after, after
        if not news:
            self._whole = True
            self._loaded.set()
        return news

    def _succeeded(self) -> None:
        if self._warned:
            log.info("fetching the list of ended tokens works again", url=self._url)
        self._warned, self._failing_since = False, None
        self._pause_s = self.PAUSE_FIRST_S

    def _failed(self, error: Exception) -> None:
        """Logs a warning, once, if the list could not be fetched for a while: a restart of the issuer is routine."""
        if isinstance(error, FetchError) and error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.NOT_IMPLEMENTED):
            self._loaded.set()
        now = time.monotonic()
        if self._failing_since is None:
            self._failing_since = now
        if not self._warned and now - self._failing_since > self.WARN_AFTER_S:
            self._warned = True
            reason = str(error) or type(error).__name__
            log.warning("could not fetch the list of ended tokens", url=self._url, error=reason)


def _unix_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
