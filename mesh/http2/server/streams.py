"""The streams that a client has opened, as the server has them."""

from collections.abc import Callable

from mesh.http2.data_sender import DataSender
from mesh.http2.faults import ErrorCode
from mesh.http2.outbox import Outbox
from mesh.http2.server.call import ServerCall
from mesh.http2.streams import Streams


class ServerStreams(Streams[ServerCall]):
    """The open streams, and the identifiers of the last one and of the last that is accepted. Each is a call."""

    def __init__(self, outbox: Outbox, sender: DataSender, on_end: Callable[[], None]) -> None:
        super().__init__(outbox, sender, on_end)
        self._last_id = 0
        self._last_accepted_id: int | None = None

    @property
    def accepts(self) -> bool:
        """Returns whether new streams are processed."""
        return self._last_accepted_id is None

    @property
    def last_peer_id(self) -> int:
        """Returns the identifier of the last stream of the client that may have been processed."""
        return self._last_id if self._last_accepted_id is None else self._last_accepted_id

    def accept_no_more(self) -> None:
        """Ignores the streams that the client opens from now on."""
        self._last_accepted_id = self._last_id

    def is_idle(self, stream_id: int) -> bool:
        """Returns whether the client has not opened this stream yet."""
        return stream_id > self._last_id

    def number(self, stream_id: int) -> None:
        """Counts the identifier of a new stream, which closes all idle ones below it: section 5.1.1."""
        self._last_id = stream_id

    def add(self, call: ServerCall) -> None:
        """Opens the stream that was numbered last."""
        call.id = self._last_id
        self._open[call.id] = call

    def read(self, stream: ServerCall, count: int) -> None:
        """Lets the client send as many bytes of a call again, because they have been read."""
        super().read(stream, count)
        stream.count_read(count)

    def peer_ended(self, stream: ServerCall) -> None:
        """Does nothing: a stream whose request is complete ends with its response."""

    def finish(self, call: ServerCall) -> None:
        """Ends a stream whose response is complete. The rest of its request is of no use any more: section 8.1."""
        if call.is_ended:
            self.forget(call)
        else:
            self.reset(call, ErrorCode.NO_ERROR)
