"""Detection of clients that stop reading, or vanish while something is sent to them."""

import asyncio

from edge.http.acknowledgement import unfinished_acknowledgement


class StallTimer:
    """A timer that aborts a connection whose client reads nothing of the pending data; slow clients are not aborted.
    Two checks in succession find it, so the connection ends one to two times `timeout_s` after the client's last read.

    Data are pending while the send buffer is full, and while the connection is closing: a transport that was closed
    lives on until its last byte has been sent, and so would a call whose client half-closed its connection, or sent a
    close frame.

    A client whose system acknowledges nothing of what was sent reads nothing either. The probes of silent clients do
    not find it: Linux sends none while it waits for an acknowledgement, and sends the data again for about 15 minutes.
    """

    def __init__(self, transport: asyncio.Transport, timeout_s: float) -> None:
        self._transport = transport
        self._timeout_s = timeout_s
        self._is_full = False
        self._pending_bytes = 0  # at the last check
        self._acknowledged_bytes: int | None = None  # at the last check, if more were on their way
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._check)

    def pause(self) -> None:
        """Notes that the send buffer is full."""
        self._is_full = True

    def resume(self) -> None:
        """Notes that the client has read most of the data."""
        self._is_full = False
        self._pending_bytes = 0

    def stop(self) -> None:
        """Stops the timer, because the connection is lost or has another protocol."""
        self._timer.cancel()

    def _check(self) -> None:
        unread_bytes = self._transport.get_write_buffer_size()
        acknowledged_bytes = unfinished_acknowledgement(self._transport.get_extra_info("socket"))
        is_lost = acknowledged_bytes is not None and acknowledged_bytes == self._acknowledged_bytes
        if is_lost or 0 < self._pending_bytes <= unread_bytes:
            self._transport.abort()
            return
        self._acknowledged_bytes = acknowledged_bytes
        self._pending_bytes = unread_bytes if self._is_full or self._transport.is_closing() else 0
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._check)
