"""The data that we send, within the windows of the peer: RFC 9113, section 5.2."""

from collections import OrderedDict

from mesh.http2 import frames
from mesh.http2.outbox import LARGE_BYTES, Outbox
from mesh.http2.peer_settings import PeerSettings
from mesh.http2.stream import Stream
from mesh.http2.windows import WINDOW_BYTES, widened


class DataSender:
    """Sends the data of streams, a frame of each in turn, as far as the windows and the socket allow."""

    def __init__(self, outbox: Outbox, peer: PeerSettings) -> None:
        self._outbox = outbox
        self._peer = peer
        self._window = WINDOW_BYTES
        self._waiting: OrderedDict[int, Stream] = OrderedDict()
        """The streams with data to send, without those that wait for a window of their own."""

    def send(self, stream: Stream, data: bytes, *, ends: bool) -> None:
        """Sends data of a stream, or keeps them until the windows allow it; then calls stream.drained()."""
        size = len(data)
        if (
            size <= self._window
            and size <= stream.send_window
            and size <= self._peer.frame_bytes_max
            and self._outbox.has_room
            and not stream.has_outgoing
        ):
            self._send(stream, data, ends=ends)
            return
        stream.keep(data, ends=ends)
        self.wait(stream)
        self.pump()

    def widen(self, increment: int) -> None:
        """Widens the window of the connection. Raises WindowExceeded."""
        self._window = widened(self._window, increment)

    def wait(self, stream: Stream) -> None:
        """Gives a stream its turn, if it has data to send."""
        if stream.has_outgoing:
            self._waiting.setdefault(stream.id, stream)

    def drop(self, stream: Stream) -> None:
        """Sends nothing more of a stream that has ended."""
        if self._waiting:
            self._waiting.pop(stream.id, None)

    def pump(self) -> None:
        """Sends what may be sent now."""
        while self._waiting and self._outbox.has_room:
            stream = next(iter(self._waiting.values()))
            if self._window <= 0 and stream.has_bytes_outgoing:
                return
            del self._waiting[stream.id]
            if stream.send_window <= 0 and stream.has_bytes_outgoing:
                continue
            data, ends = stream.next_piece(min(self._window, stream.send_window, self._peer.frame_bytes_max))
            self._send(stream, data, ends=ends)
            if stream.has_outgoing:
                self._waiting[stream.id] = stream
            else:
                stream.drained()

    def _send(self, stream: Stream, data: bytes | memoryview, *, ends: bool) -> None:
        size = len(data)
        self._window -= size
        stream.send_window -= size
        stream.is_sent = ends
        flags = frames.END_STREAM if ends else 0
        if size < LARGE_BYTES:
            self._outbox.send(frames.frame(frames.DATA, flags, stream.id, data))
        else:
            self._outbox.send(frames.frame_header(size, frames.DATA, flags, stream.id))
            self._outbox.put(data)
