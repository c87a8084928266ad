"""One stream of a connection: RFC 9113, section 5."""

import abc
from collections import deque
from typing import TYPE_CHECKING

from mesh.http2.windows import ReceiveWindow
from mesh.rpc.call_error import CallError

if TYPE_CHECKING:
    from mesh.http2.connection import Connection


class Stream(abc.ABC):
    """A request and its response. Subclasses handle what arrives; the connection calls the abstract methods."""

    __slots__ = (
        "_outgoing",
        "_outgoing_ends",
        "connection",
        "id",
        "is_sent",
        "receive_window",
        "send_window",
    )

    def __init__(self, receive_window: ReceiveWindow) -> None:
        self.connection: Connection
        self.id = 0
        self.send_window = 0
        self.receive_window = receive_window
        self.is_sent = False
        """Whether END_STREAM has been sent: the stream is half-closed (local)."""
        self._outgoing: deque[memoryview] | None = None
        self._outgoing_ends = False

    @abc.abstractmethod
    def receive_data(self, data: bytes, size: int, *, ends: bool) -> None:
        """Handles data, which may be empty, and took `size` bytes with their padding. Raises StreamFault,
        WindowExceeded or CallError.
        """

    @abc.abstractmethod
    def fail(self, error: CallError, *, is_begun: bool = True) -> None:
        """Handles the end of the stream by an error. Unless `is_begun`, the peer has not processed it at all."""

    @abc.abstractmethod
    def drained(self) -> None:
        """Handles that all data have been sent."""

    @property
    def has_outgoing(self) -> bool:
        """Returns whether data wait to be sent."""
        return bool(self._outgoing) or (self._outgoing_ends and not self.is_sent)

    @property
    def has_bytes_outgoing(self) -> bool:
        """Returns whether bytes wait to be sent, which need a window; the mere end needs none."""
        return bool(self._outgoing)

    def drop_outgoing(self) -> None:
        """Drops the data that wait to be sent, because the stream has ended."""
        self._outgoing, self._outgoing_ends = None, False

    def keep(self, data: bytes, *, ends: bool) -> None:
        """Keeps data until the windows allow to send them."""
        if self._outgoing is None:
            self._outgoing = deque()
        if data:
            self._outgoing.append(memoryview(data))  # pieces are cut off without copying the rest
        self._outgoing_ends = ends

    def next_piece(self, bytes_max: int) -> tuple[memoryview | bytes, bool]:
        """Removes the next data to send. Returns them, and whether they are the last of the stream."""
        if not self._outgoing:
            return b"", self._outgoing_ends
        data = self._outgoing.popleft()
        if len(data) > bytes_max:
            self._outgoing.appendleft(data[bytes_max:])
            data = data[:bytes_max]
        return data, self._outgoing_ends and not self._outgoing
