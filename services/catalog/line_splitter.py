"""The lines of a file that arrives in pieces."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LINE_BYTES_MAX = 128 * 1024

# Many blank lines at once, because a few bytes of a compressed file may be millions of them.
_BLANK_LINES = re.compile(rb"(?>(?:[ \t\r]{0,100}+\n)*)")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file. `number` starts at 1; `content` is None if the line is longer than LINE_BYTES_MAX."""

    number: int
    content: bytes | None


class LineSplitter:
    """A splitter of a file into its lines. It holds at most one line and one piece."""

    def __init__(self) -> None:
        self._number = 1
        self._rest = bytearray()
        self._is_too_long = False

    def feed(self, piece: bytes) -> Iterator[Line]:
        """Yields the lines that end in this piece, without those that are blank."""
        start = 0
        while (end := piece.find(b"\n", start)) != -1:
            self._add(piece[start:end])
            yield from self.end()
            blank = _BLANK_LINES.match(piece, end + 1)
            assert blank is not None, "the pattern matches the empty text too"
            start = blank.end()
            self._number += piece.count(b"\n", end, start)
        self._add(piece[start:])

    def end(self) -> Iterator[Line]:
        """Yields the line that has no line break yet, unless it is blank."""
        if self._is_too_long:
            yield Line(self._number, None)
        elif content := bytes(self._rest.strip()):
            yield Line(self._number, content)
        self._rest.clear()
        self._is_too_long = False

    def _add(self, part: bytes) -> None:
        if len(self._rest) + len(part) > LINE_BYTES_MAX:
            self._is_too_long = True
            self._rest.clear()
        if not self._is_too_long:
            self._rest += part
