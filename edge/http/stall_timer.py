"""Detection of clients that stop reading."""

import asyncio


class StallTimer:
    """A timer that aborts a connection whose client reads nothing of the pending data; slow clients are not aborted."""

    def __init__(self, transport: asyncio.Transport, timeout_s: float) -> None:
        self._transport = transport
        self._timeout_s = timeout_s
        self._pending_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Starts the timer, because the send buffer is full."""
        self._pending_bytes = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._check)

    def stop(self) -> None:
        """Stops the timer, because the client has read most of the data, or has disconnected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        if self._transport.get_write_buffer_size() >= self._pending_bytes:
            self._transport.abort()
        else:
            self.start()
