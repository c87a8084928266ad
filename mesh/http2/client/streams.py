"""The streams that a client has opened."""

from collections.abc import Callable

from mesh.http2 import frames
from mesh.http2.client.call import ClientCall
from mesh.http2.data_sender import DataSender
from mesh.http2.faults import ErrorCode
from mesh.http2.outbox import Outbox
from mesh.http2.streams import Streams
from mesh.rpc.call_error import CallError


class ClientStreams(Streams[ClientCall]):
    """The open streams, and the identifier of the next one."""

    def __init__(self, outbox: Outbox, sender: DataSender, on_end: Callable[[], None]) -> None:
        super().__init__(outbox, sender, on_end)
        self.next_id = 1
        """The identifier of the next stream."""
        self.are_answered = False
        """Whether the headers of any response have arrived."""

    @property
    def last_peer_id(self) -> int:
        """Returns 0: a server whose pushes are not accepted opens no streams."""
        return 0

    @property
    def are_numbered_out(self) -> bool:
        """Returns whether there are no more identifiers: section 5.1.1."""
        return self.next_id > frames.STREAM_ID_MAX

    def is_idle(self, stream_id: int) -> bool:
        """Returns whether we have not opened this stream yet."""
        return stream_id >= self.next_id

    def add(self, stream: ClientCall) -> None:
        """Gives a stream the next identifier."""
        stream.id = self.next_id
        self._open[self.next_id] = stream
        self.next_id += 2

    def peer_ended(self, stream: ClientCall) -> None:
        """Ends a stream whose response is complete. A request that isn't is of no use any more: section 8.1."""
        if not stream.is_sent:
            self._outbox.put(frames.rst_stream(stream.id, ErrorCode.NO_ERROR))
        self.forget(stream)

    def refuse_above(self, last_id: int, error: CallError) -> None:
        """Ends the streams that the server has not processed: section 6.8."""
        for stream in [stream for number, stream in self._open.items() if number > last_id]:
            del self._open[stream.id]
            self._sender.drop(stream)
            stream.fail(error, is_begun=False)
