"""Detection of clients that disconnect while nothing is read from them.

The event loop sees the end of a connection only when it reads. It reads nothing while requests wait for the reply to an
earlier one, or while a service does not take a client's messages.
"""

import asyncio
import select
from typing import Final

from uvicorn.protocols.http.flow_control import FlowControl

CHECK_S: Final = 1.0

_ENDED: Final = getattr(select, "POLLRDHUP", 0)
"""The event of a client that has sent its last byte: poll(2), on Linux only. Elsewhere POLLHUP, which is always polled
for, has this meaning.
"""


class DepartureWatch:
    """A watch that closes a connection once its client has disconnected, as if the end of its data had been read."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts the watch, because reading pauses; it stops by itself when it finds that reading goes on."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(CHECK_S, self._check)

    def stop(self) -> None:
        """Stops the watch, because the connection is lost or has another protocol."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        if self._transport.is_closing() or self._transport.is_reading():
            return
        if self._has_left():
            self._transport.close()
        else:
            self.start()

    def _has_left(self) -> bool:
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), _ENDED)
        return bool(poll.poll(0))


class WatchedFlow(FlowControl):
    """uvicorn's flow control of one connection, with a watch while reading is paused."""

    def __init__(self, transport: asyncio.Transport, watch: DepartureWatch) -> None:
        super().__init__(transport)
        self._watch = watch

    def pause_reading(self) -> None:
        """Pauses reading."""
        super().pause_reading()
        self._watch.start()
