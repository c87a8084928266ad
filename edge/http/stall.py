"""Clients that take nothing of what they are sent."""

import asyncio


class Stall:
    """Cuts a connection off when its client takes nothing of what waits for it. A slow one is not a stalled one."""

    def __init__(self, transport: asyncio.Transport, patience_s: float) -> None:
        self._transport = transport
        self._patience_s = patience_s
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """More is waiting than is sent on."""
        self._waiting_bytes = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(self._patience_s, self._check)

    def end(self) -> None:
        """The client has taken most of it, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        if self._transport.get_write_buffer_size() >= self._waiting_bytes:
            self._transport.abort()
        else:
            self.begin()
