"""The streams of a connection, and their ends: RFC 9113, section 5.1."""

import abc
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from mesh.http2 import frames
from mesh.http2.data_sender import DataSender
from mesh.http2.faults import ConnectionFault, ErrorCode, Fault
from mesh.http2.outbox import Outbox
from mesh.http2.statuses import broken
from mesh.http2.stream import Stream
from mesh.rpc.call_error import CallError

S = TypeVar("S", bound=Stream)

LATE_FRAME_BYTES: Final = 16
LATE_FRAMES_MAX: Final = 100_000
"""How many frames of data are honest for a stream that we have ended: one for as many bytes as its window had left."""


class Streams(abc.ABC, Generic[S]):
    """The open streams by their identifiers. All are opened by the client, because pushes are not accepted."""

    def __init__(self, outbox: Outbox, sender: DataSender, on_end: Callable[[], None]) -> None:
        """`on_end` is called when a stream has ended."""
        self._outbox = outbox
        self._sender = sender
        self._on_end = on_end
        self._open: dict[int, S] = {}
        self._late_frames = 0

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[S]:
        return iter(self._open.values())

    @property
    @abc.abstractmethod
    def last_peer_id(self) -> int:
        """Returns the identifier of the last stream of the peer that may have been processed."""

    @abc.abstractmethod
    def is_idle(self, stream_id: int) -> bool:
        """Returns whether the client has not opened this stream yet."""

    @abc.abstractmethod
    def peer_ended(self, stream: S) -> None:
        """Handles that the peer sends nothing more on a stream: END_STREAM."""

    def get(self, stream_id: int) -> S | None:
        """Returns the stream of an identifier, None if it is not open."""
        return self._open.get(stream_id)

    def find(self, stream_id: int) -> S | None:
        """Returns the stream of a frame; None if it has ended, which the peer may not know yet. Raises ConnectionFault
        if it is idle.
        """
        stream = self._open.get(stream_id)
        if stream is None and (not stream_id % 2 or self.is_idle(stream_id)):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a frame of the stream {stream_id}, which is idle")
        return stream

    def expect_late(self, window_left: int) -> None:
        """Allows the data that the peer may send before it learns that a stream has ended."""
        late_frames = max(window_left, 0) // LATE_FRAME_BYTES
        self._late_frames = min(self._late_frames + late_frames, LATE_FRAMES_MAX)

    def allow_late(self) -> bool:
        """Counts data of a stream that has ended. Returns whether the peer may have sent them before it knew."""
        if not self._late_frames:
            return False
        self._late_frames -= 1
        return True

    def read(self, stream: S, count: int) -> None:
        """Lets the peer send as many bytes of a stream again, because they have been read."""
        if (increment := stream.receive_window.take(count)) and stream.id in self._open:
            self._outbox.send(frames.window_update(stream.id, increment))

    def expect(self, stream: S, count: int) -> None:
        """Lets the peer send a message of `count` bytes as a whole."""
        if increment := stream.receive_window.fit(count):
            self._outbox.send(frames.window_update(stream.id, increment))

    def reset(self, stream: S, code: ErrorCode) -> None:
        """Ends a stream early."""
        if self._open.get(stream.id) is stream:
            self._outbox.put(frames.rst_stream(stream.id, code))  # earns no allowance: the peer may have forced it
            self.expect_late(stream.receive_window.left)
            self.forget(stream)

    def fail(self, stream: S, error: Fault | CallError) -> None:
        """Ends a stream because of what the peer sent for it."""
        self.reset(stream, error.code if isinstance(error, Fault) else ErrorCode.CANCEL)
        stream.fail(error if isinstance(error, CallError) else broken(str(error)))

    def forget(self, stream: S) -> None:
        """Removes a stream that has ended."""
        del self._open[stream.id]
        self._sender.drop(stream)
        self._on_end()

    def fail_all(self, error: CallError) -> None:
        """Ends all streams with their connection."""
        streams, self._open = list(self._open.values()), {}
        for stream in streams:
            self._sender.drop(stream)
            stream.fail(error)
