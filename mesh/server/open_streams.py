"""The open streams of a server: the limit on their number, and their end when the server stops."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mesh.errors import MeshError, ResourceExhausted, Unavailable

STREAMS_MAX: Final = 1000
"""The most streams that are open at the same time in one process."""

RESUME_S: Final = 1.0
"""The time after which clients of a stopping server may reconnect; another replica then takes over."""


class CallEnd:
    """The end of a call, which may come before its deadline."""

    def __init__(self, timeout: asyncio.Timeout) -> None:
        """`timeout` is the timeout around the call."""
        self._timeout = timeout
        self.cause: MeshError | None = None

    def stop(self, cause: MeshError) -> None:
        """Ends the call with an error, unless its end has begun: at its deadline it may take a while to clean up."""
        if self.cause is None and not self._timeout.expired():
            self.cause = cause
            self._timeout.reschedule(asyncio.get_running_loop().time())


class OpenStreams:
    """The open streams of one server."""

    def __init__(self, streams_max: int = STREAMS_MAX) -> None:
        self._streams_max = streams_max
        self._ends: set[CallEnd] = set()
        self._draining = False

    @contextmanager
    def admit(self, end: CallEnd) -> Iterator[None]:
        """Admits a stream, and counts it while the context lasts; drain() ends it. Raises ResourceExhausted if too many
        streams are open, Unavailable while the server stops.
        """
        if self._draining:
            raise stopping()
        if len(self._ends) >= self._streams_max:
            raise ResourceExhausted(
                f"This process has {self._streams_max} open streams, which is its limit. Try again.",
                reason="TOO_MANY_STREAMS",
                retry_after_s=RESUME_S,
            )
        self._ends.add(end)
        try:
            yield
        finally:
            self._ends.discard(end)

    def drain(self) -> None:
        """Ends all streams, and rejects new ones."""
        self._draining = True
        for end in self._ends:
            end.stop(stopping())

    @property
    def draining(self) -> bool:
        """Returns whether the server is stopping."""
        return self._draining


def stopping() -> MeshError:
    """Returns the error of a stream that ends because its server stops: the client may reopen and resume it."""
    return Unavailable(
        "This server is stopping. Open the stream again.", reason="STREAM_DRAINED", retry_after_s=RESUME_S
    )
