"""The bytes that a server sends to the edge's HTTP/2 client, from the first to the last."""

import asyncio

from mesh.errors import Code
from mesh.http2.client.call import ClientCall
from mesh.http2.client.connection import ClientConnection
from mesh.http2.client.request_head import RequestHeads
from mesh.http2.faults import Fault
from mesh.http2.messages import prefixed
from mesh.rpc.call_error import CallError
from tests.fuzz.transport import Transport

MESSAGE_BYTES_MAX = 10_000


class Upstream:
    """Connections with a unary call and a stream each."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._heads = RequestHeads("upstream:1", secure=False)

    def receive(self, data: bytes, cut: int) -> None:
        """Lets a client receive these bytes in two pieces. Each call has a response or an error that names a violation
        or the end of the connection, and nothing else is raised.
        """
        self._loop.run_until_complete(self._receive(data, cut))

    def close(self) -> None:
        """Ends the loop."""
        self._loop.close()

    async def _receive(self, data: bytes, cut: int) -> None:
        connection = ClientConnection(300.0, lambda _: None, lambda: None)
        connection.connection_made(Transport())
        calls = [
            ClientCall(MESSAGE_BYTES_MAX, connection.loop, is_unary=True),
            ClientCall(MESSAGE_BYTES_MAX, connection.loop),
        ]
        for call in calls:
            connection.open(call, self._heads.block("/a/b", 1.0, ()), prefixed(b"x"), ends=call is calls[0])
        for piece in (data[:cut], data[cut:]):
            connection.data_received(piece)
            await asyncio.sleep(0)
        connection.connection_lost(None)
        if connection.ready.done() and (error := connection.ready.exception()) is not None:
            assert isinstance(error, CallError | Fault), error
        for call in calls:
            await self._drain(call)
        assert connection.is_closed

    async def _drain(self, call: ClientCall) -> None:
        assert call.is_ended
        try:
            while (message := await call.next_message()) is not None:
                assert len(message) <= MESSAGE_BYTES_MAX
        except CallError as error:
            assert error.code is not Code.OK  # noqa: PT017 # any other error is a failure
