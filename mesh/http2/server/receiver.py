"""The frames that arrive from a client."""

from typing import TYPE_CHECKING, Final

from mesh.http2 import frames, hpack
from mesh.http2.connection import PREFACE
from mesh.http2.faults import ConnectionFault, ErrorCode, StreamFault
from mesh.http2.fields import LIST_BYTES_MAX
from mesh.http2.flood_limit import FloodLimit
from mesh.http2.peer_settings import PeerSettings
from mesh.http2.receiver import Receiver

if TYPE_CHECKING:
    from mesh.http2.server.connection import ServerConnection

TABLE_BYTES: Final = 4096
"""The initial SETTINGS_HEADER_TABLE_SIZE, which we leave in place: clients may use it before they know our settings."""


class ServerReceiver(Receiver):
    """Checks the preface, and opens a call for each new stream."""

    def __init__(self, connection: "ServerConnection", peer: PeerSettings, flood_limit: FloodLimit) -> None:
        super().__init__(connection, peer, flood_limit, on_settings=lambda: None)
        self._connection = connection
        self._decoder = hpack.Decoder(TABLE_BYTES)
        self._preface = PREFACE

    def receive(self, data: bytes) -> None:
        """Handles the preface, then frames. Raises Fault."""
        if self._preface:
            count = min(len(data), len(self._preface))
            if data[:count] != self._preface[:count]:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the client does not speak HTTP/2")
            self._preface, data = self._preface[count:], data[count:]
        super().receive(data)

    def _receive_block(self, stream_id: int, flags: int, block: bytes) -> None:
        """Handles the headers of a new stream, or trailers. Each block is decoded, because it may change the table."""
        fields: list[hpack.Field] | None
        try:
            fields = self._decoder.decode(block, LIST_BYTES_MAX)
        except StreamFault:
            fields = None
        if stream_id % 2 and self._streams.is_idle(stream_id):
            ends = bool(flags & frames.END_STREAM)
            opened = self._connection.open(stream_id, fields, ends=ends)
            if opened is not None and ends:
                self._deliver(opened, flags, opened.receive_data, b"", 0)
        elif (call := self._connection.streams.find(stream_id)) is not None:
            self._deliver(call, flags, call.receive_trailers, fields)

    def _receive_goaway(self, last_stream_id: int, code: int) -> None:
        """Does nothing: the client opens no more streams, and closes the connection after the last one."""

    def _receive_pong(self, payload: bytes) -> None:
        self._connection.receive_pong(payload)
