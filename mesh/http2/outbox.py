"""The frames of a connection on their way to the socket."""

import asyncio
from collections.abc import Callable
from typing import Final

from mesh.gathered_write import write_gathered
from mesh.http2.flood_limit import FloodLimit

LARGE_BYTES: Final = 8_192
"""The size from which data are sent without being copied together."""

TURN_BYTES: Final = 262_144
"""How much is put in one turn of the event loop before data have to wait for the socket."""

LINGER_S: Final = 1.0
"""How long the last frames of a connection may take to leave."""


class Outbox:
    """The frames of one turn of the event loop. They leave in one system call, which costs more than all else that a
    frame needs.
    """

    def __init__(
        self,
        flood_limit: FloodLimit,
        unsent_bytes_max: int,
        on_room: Callable[[], None],
        on_overflow: Callable[[], None],
    ) -> None:
        """`on_room` is called when data may be put again, `on_overflow` when more than `unsent_bytes_max` wait for a
        peer that does not read. Data wait elsewhere, so most of them are other frames.
        """
        self._unsent_bytes_max = unsent_bytes_max
        self._loop = asyncio.get_running_loop()
        self._flood_limit = flood_limit
        self._on_room = on_room
        self._on_overflow = on_overflow
        self._transport: asyncio.Transport
        self._frames: list[bytes | memoryview] = []
        self._bytes = 0
        self._is_paused = False
        self._is_closed = False
        self.has_room = True
        """Whether data may be put. All other frames may always be."""

    def connect(self, transport: asyncio.Transport, start: bytes) -> None:
        """Sends the first bytes of the connection."""
        self._transport = transport
        transport.write(start)

    def send(self, frame: bytes) -> None:
        """Sends a frame that the peer may answer."""
        self._flood_limit.earn()
        self.put(frame)

    def put(self, data: bytes | memoryview) -> None:
        """Sends a frame or a part of one."""
        if not self._frames:
            self._loop.call_soon(self._flush)
        self._frames.append(data)
        self._bytes += len(data)
        if self._bytes >= TURN_BYTES:
            self.has_room = False

    def pause(self) -> None:
        """Makes data wait: the buffer of the socket is full."""
        self._is_paused, self.has_room = True, False

    def resume(self) -> None:
        """Lets data be put again."""
        self._is_paused, self.has_room = False, True
        self._on_room()

    def close(self, last: bytes, reader_s: float = 0.0) -> None:
        """Sends the last frame and closes the connection. A peer that has `reader_s` to read what is on its way closes
        it first: if bytes of it arrived at a closed socket, the system would drop the rest.
        """
        self.put(last)
        self._write()
        self._is_closed = True
        if reader_s:
            self._transport.write_eof()
        else:
            self._transport.close()
        self._loop.call_later(reader_s or LINGER_S, self._transport.abort)

    def abort(self) -> None:
        """Closes the connection at once."""
        self._is_closed = True
        self._transport.abort()

    def _flush(self) -> None:
        if self._is_closed:
            self._frames = []
            return
        self._write()
        if not self._is_paused:
            if not self.has_room:
                self.resume()
        elif self._transport.get_write_buffer_size() > self._unsent_bytes_max:
            self._on_overflow()

    def _write(self) -> None:
        frames, size = self._frames, self._bytes
        self._frames, self._bytes = [], 0
        if size < LARGE_BYTES:
            self._transport.write(b"".join(frames))
        else:
            write_gathered(self._transport, frames)
