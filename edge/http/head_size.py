"""The size of request heads while they arrive, which the parser does not limit."""

from typing import Final

HEADERS_MAX: Final = 100
"""The most headers of a request, as in Envoy and Apache. Short ones take much more memory than they have bytes."""

HEADER_BYTES: Final = 160
"""The memory of a header, without its name and its value."""


class HeadSize:
    """The position in the current request of one connection, and a count of the bytes of its head.

    It also limits what else the parser buffers: the trailers of a chunked body, and the extension of a chunk.
    """

    __slots__ = (
        "_begun",
        "_bytes_max",
        "_head_bytes",
        "_headers",
        "_pending_bytes",
        "_read_bytes",
        "_unparsed_bytes",
        "_was_between",
        "in_head",
        "is_between",
    )

    def __init__(self, bytes_max: int) -> None:
        self.in_head = True
        self.is_between = True
        """Whether nothing of the next request has arrived."""
        self._bytes_max = bytes_max
        self._begun = 0  # requests that begin in the current read
        self._read_bytes = 0  # size of the current read
        self._was_between = True  # before the current read
        self._headers = 0
        self._head_bytes = 0  # in complete headers
        self._pending_bytes = 0  # received since the head began
        self._unparsed_bytes = 0  # buffered by the parser for an unfinished line

    def start_read(self, count: int) -> None:
        """Counts bytes before they are parsed."""
        self._begun, self._was_between, self._read_bytes = 0, self.is_between, count
        self._unparsed_bytes += count

    def exceeds_after_read(self) -> bool:
        """Returns whether the head, or an unfinished line of the body, is too large after a read was parsed."""
        if not self.in_head:
            return self._unparsed_bytes > self._bytes_max
        # A read that also has the end of another request is not counted.
        if not self._begun or (self._was_between and self._begun == 1):
            self._pending_bytes += self._read_bytes
        return self._pending_bytes > self._bytes_max

    def start_message(self) -> None:
        """Starts the head of the next request."""
        self.in_head, self.is_between = True, False
        self._headers = self._head_bytes = self._pending_bytes = self._unparsed_bytes = 0
        self._begun += 1

    def exceeds_with_header(self, name: bytes, value: bytes) -> bool:
        """Counts a complete header or trailer. Returns whether the head is too large with it."""
        self._unparsed_bytes = 0
        self._headers += 1
        self._head_bytes += len(name) + len(value) + 4
        return self._headers > HEADERS_MAX or self._head_bytes > self._bytes_max

    def end_line(self) -> None:
        """Forgets the bytes of a line or a piece of the body that has been parsed."""
        self._unparsed_bytes = 0

    def end_head(self) -> None:
        """Ends the head; the body follows."""
        self.in_head = False

    def end_message(self) -> None:
        """Ends the request."""
        self.is_between = True
        self._unparsed_bytes = 0
