"""A JSON Web Key Set (RFC 7517) at a URL."""

import logging
import time
from types import TracebackType
from typing import Self

import structlog

from mesh.errors import Unavailable
from mesh.identity.fetch import FetchError, fetch_json
from mesh.identity.key_set import PublicKey
from mesh.identity.refresh import READY_WITHOUT_S, Refresh

log = structlog.get_logger()


class RemoteKeySet:
    """The keys of a JSON Web Key Set (RFC 7517) at a URL.

    A token with an unknown key waits for a fetch. Known keys are used at once. When a set older than REFRESH_AGE_S is
    used, it is fetched again in the background, so that keys that were removed from it are forgotten. There is one
    fetch at a time, and a pause of REFRESH_MIN_S after each. While the URL does not answer, the known keys stay valid.

    As a component of a process, it fetches the set at the start, and the process is not ready before: otherwise the
    first calls to a new replica would wait for it. Each check of readiness then fetches it again, but no sooner than
    STARTING_PAUSE_S after the last fetch. After READY_WITHOUT_S the process is ready without, because it can still
    answer calls that need no token.
    """

    name = "keys of access tokens"
    REFRESH_MIN_S = 1.0
    STARTING_PAUSE_S = 0.1
    REFRESH_AGE_S = 300.0
    TIMEOUT_S = 3.0

    def __init__(self, url: str) -> None:
        from mesh.identity.signed_tokens import public_key  # only now, because of its size

        self._public_key = public_key
        self._url = url
        self._keys: dict[str, PublicKey] = {}
        self._published: object = None
        self._revision = 0
        self._fetched_at = float("-inf")
        self._reachable = False
        self._refresh = Refresh(self._fetch, self.REFRESH_MIN_S)
        self._ready_without_at = float("-inf")

    async def __aenter__(self) -> Self:
        self._ready_without_at = time.monotonic() + READY_WITHOUT_S
        self._refresh.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._refresh.stop()

    async def check(self) -> None:
        """Raises Unavailable until the set has been fetched once, for READY_WITHOUT_S at most."""
        if not self._keys and time.monotonic() < self._ready_without_at:
            self._refresh.begin(self.STARTING_PAUSE_S)
            raise Unavailable("The keys of the issuer have not been fetched yet.")

    def revision(self) -> int:
        """Returns a number that changes when the set changes."""
        if time.monotonic() - self._fetched_at > self.REFRESH_AGE_S:
            self._refresh.begin()
        return self._revision

    async def find(self, kid: str) -> "PublicKey | None":
        """Returns the key with this identifier, None if the set has no such key. Raises Unavailable if it is unknown
        and the set can't be fetched.
        """
        key = self._keys.get(kid)
        if key is None:
            await self._refresh.wait()
            key = self._keys.get(kid)
        if key is None and not self._reachable:
            raise Unavailable("Access tokens can't be verified for now.", reason="KEYS_UNAVAILABLE", retry_after_s=1)
        return key

    async def _fetch(self) -> None:
        try:
            published = (await fetch_json(self._url, timeout_s=self.TIMEOUT_S))["keys"]
            keys = {key.kid or "": key for key in map(self._public_key, published) if key is not None}
        except (FetchError, ValueError, KeyError, TypeError) as error:
            self._reachable = False
            starting = time.monotonic() < self._ready_without_at  # the issuer may be starting, too
            log.log(
                logging.DEBUG if starting else logging.WARNING,
                "could not fetch the issuer's keys",
                url=self._url,
                error=str(error) or type(error).__name__,
            )
            return
        self._fetched_at, self._reachable = time.monotonic(), True
        if published != self._published:
            self._published, self._keys = published, keys
            self._revision += 1
