"""The streams that a server has open: how many there may be, and their end when the server stops."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from mesh.errors import MeshError, ResourceExhausted, Unavailable

STREAMS_MAX: Final = 1000
"""Open at the same time in one process."""

RESUME_S: Final = 1.0
"""When a client that a stopping server has sent away may come back; another replica takes it."""


class OpenStreams:
    """The open streams of one server."""

    def __init__(self, streams_max: int = STREAMS_MAX) -> None:
        self._streams_max = streams_max
        self._ends: set[asyncio.Timeout] = set()
        self._draining = False

    @contextmanager
    def admit(self, end: asyncio.Timeout) -> Iterator[None]:
        """Counts a stream while this is entered. `end` is the timeout around it, which drain() lets expire. Raises
        ResourceExhausted when there are too many, Unavailable while the server stops.
        """
        if self._draining:
            raise stopping()
        if len(self._ends) >= self._streams_max:
            raise ResourceExhausted(
                f"This process has {self._streams_max} streams open already.",
                reason="TOO_MANY_STREAMS",
                retry_after_s=RESUME_S,
            )
        self._ends.add(end)
        try:
            yield
        finally:
            self._ends.discard(end)

    def drain(self) -> None:
        """Ends all streams, and refuses new ones."""
        self._draining = True
        now = asyncio.get_running_loop().time()
        for end in self._ends:
            end.reschedule(now)

    @property
    def draining(self) -> bool:
        """Whether the server stops."""
        return self._draining


def stopping() -> MeshError:
    """The status of a stream that ends because its server stops: open it again, and resume."""
    return Unavailable(
        "This server is stopping. Open the stream again.", reason="STREAM_DRAINED", retry_after_s=RESUME_S
    )
