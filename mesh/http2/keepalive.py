"""Pings to a peer from which nothing comes: RFC 9113, section 6.7."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from mesh.http2 import frames
from mesh.http2.outbox import Outbox
from mesh.http2.streams import Streams

ANSWER_S_MAX: Final = 5.0
"""How long a peer may be quiet after a ping."""

READ_S: Final = 0.01
"""How long the socket is given to be read when the time for an answer is over. An answer that arrived while this
process was paused is read after the timers that became due meanwhile.
"""


class Keepalive:
    """The timer of a connection. It pings a peer that is quiet while there are streams."""

    def __init__(self, pause_s: float, outbox: Outbox, streams: Streams[Any], on_silence: Callable[[], None]) -> None:
        """`on_silence` is called when nothing comes after a ping either."""
        self._loop = asyncio.get_running_loop()
        self._pause_s = pause_s
        self._outbox = outbox
        self._streams = streams
        self._on_silence = on_silence
        self._timer: asyncio.TimerHandle
        self._is_asking = False
        self.is_quiet = True
        """Whether nothing has come since the last check. The connection clears it."""

    def start(self) -> None:
        """Checks after a pause."""
        self._timer = self._loop.call_later(self._pause_s, self._check)

    def stop(self) -> None:
        """Checks no more."""
        self._timer.cancel()

    def ask(self) -> None:
        """Pings now, unless a ping waits for its answer."""
        if self._is_asking and self.is_quiet:
            return
        self.stop()
        self.is_quiet = True
        self._ping()

    def _ping(self) -> None:
        self._is_asking = True
        self._outbox.send(frames.frame(frames.PING, 0, 0, bytes(frames.PING_BYTES)))
        self._timer = self._loop.call_later(ANSWER_S_MAX, self._read_first)

    def _check(self) -> None:
        if self.is_quiet and len(self._streams):
            self._ping()
        else:
            self.is_quiet = True
            self.start()

    def _read_first(self) -> None:
        self._timer = self._loop.call_later(READ_S, self._check_answered)

    def _check_answered(self) -> None:
        self._is_asking = False
        if self.is_quiet:
            self._on_silence()
        else:
            self.start()
