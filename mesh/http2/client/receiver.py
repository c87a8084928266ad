"""The frames that arrive from a server."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from mesh.http2.flood_limit import FloodLimit
from mesh.http2.peer_settings import PeerSettings
from mesh.http2.receiver import Receiver
from mesh.http2.statuses import unavailable

if TYPE_CHECKING:
    from mesh.http2.client.connection import ClientConnection


class ClientReceiver(Receiver):
    """Hands header blocks to the streams that we have opened."""

    def __init__(
        self,
        connection: "ClientConnection",
        peer: PeerSettings,
        flood_limit: FloodLimit,
        on_settings: Callable[[], None],
    ) -> None:
        super().__init__(connection, peer, flood_limit, on_settings)
        self._connection = connection

    def _receive_block(self, stream_id: int, flags: int, block: bytes) -> None:
        """Handles headers or trailers. Blocks have no state, so that those of ended streams need not be read."""
        stream = self._connection.streams.find(stream_id)
        if stream is not None:
            self._connection.streams.are_answered = True
            self._deliver(stream, flags, stream.receive_block, block)

    def _receive_goaway(self, last_stream_id: int, code: int) -> None:
        error = unavailable(f"GOAWAY with the error code {code}")
        self._connection.streams.refuse_above(last_stream_id, error)
        self._connection.drain()

    def _receive_pong(self, payload: bytes) -> None:
        """Does nothing: that anything has arrived is what keepalive looks at."""
