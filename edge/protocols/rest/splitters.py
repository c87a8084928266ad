"""Where one message ends and the next begins, in a text that arrives in pieces. Only the one at hand is kept.

What an element holds is not looked at here: its reader is strict about that.
"""

import re
from collections.abc import Iterator
from typing import Final, Protocol

from edge.http.errors import HttpError
from edge.protojson.parser import Malformed

_SPACE = re.compile(rb"[ \t\n\r]*")
_STRUCTURE = re.compile(rb'["{}\[\]]')
_STRING = re.compile(rb'["\\]')
_SCALAR_END = re.compile(rb"[ \t\n\r,\]]")

# Where in the array the scanner is.
_BEFORE: Final = "before the array"
_FIRST: Final = "before the first element"
_NEXT: Final = "after a comma"
_INSIDE: Final = "inside a string, an array or an object"
_SCALAR: Final = "inside another element"
_AFTER: Final = "after an element"
_DONE: Final = "after the array"


class Splitter(Protocol):
    """Finds the messages in one body."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The messages that this piece completes. Raises Malformed, HttpError 413 for one that is too large."""

    def end(self) -> Iterator[bytes]:
        """The last message, if only the end completes it. Raises Malformed if it is not complete."""

    @property
    def held_bytes(self) -> int:
        """How much of a message is there that is not complete."""


class LineSplitter:
    """A message in each line, as in NDJSON and JSON Lines; empty lines are none."""

    def __init__(self, size_bytes_max: int) -> None:
        self._size_bytes_max = size_bytes_max
        self._text = bytearray()
        self._at = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The lines that end in this piece."""
        self._text += piece
        while (end := self._text.find(b"\n", self._at)) >= 0:
            line = bytes(self._text[:end])
            del self._text[: end + 1]
            self._at = 0
            _check_size(len(line), self._size_bytes_max)
            if line.strip():
                yield line
        self._at = len(self._text)
        _check_size(self._at, self._size_bytes_max)

    def end(self) -> Iterator[bytes]:
        """The last line, whose end need not be marked."""
        if self._text.strip():
            yield bytes(self._text)

    @property
    def held_bytes(self) -> int:
        """How much of a line is there."""
        return len(self._text)


class ArraySplitter:
    """The elements of one JSON array (RFC 8259, section 5). An object is there with its last bracket, not only with
    the comma that follows it.
    """

    def __init__(self, size_bytes_max: int, depth_max: int) -> None:
        """`depth_max` is how deep an element may be nested."""
        self._size_bytes_max = size_bytes_max
        self._depth_max = depth_max
        self._text = bytearray()
        self._at = 0  # what comes before it has been looked at
        self._place = _BEFORE
        self._depth = 0
        self._in_string = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The elements that this piece completes."""
        self._text += piece
        while self._at < len(self._text):
            if self._place in (_INSIDE, _SCALAR):
                is_complete = self._find_end() if self._place is _INSIDE else self._find_scalar_end()
                _check_size(self._at, self._size_bytes_max)
                if not is_complete:
                    return
                yield self._take()
            else:
                space = _SPACE.match(self._text, self._at)
                assert space is not None, "no space is space too"
                del self._text[: space.end()]
                self._at = 0
                if self._text:
                    self._enter(self._text[:1])

    def end(self) -> Iterator[bytes]:
        """Nothing: an array has an end of its own."""
        if self._place is not _DONE:
            raise Malformed("The body ended before its JSON array was complete.")
        yield from ()

    @property
    def held_bytes(self) -> int:
        """How much of an element is there."""
        return len(self._text)

    def _enter(self, begin: bytes | bytearray) -> None:
        """Decides by the first byte of what comes next."""
        if self._place is _BEFORE and begin == b"[":
            self._pass(_FIRST)
        elif (self._place is _FIRST and begin == b"]") or (self._place is _AFTER and begin == b"]"):
            self._pass(_DONE)
        elif self._place is _AFTER and begin == b",":
            self._pass(_NEXT)
        elif self._place in (_FIRST, _NEXT) and begin in (b'"', b"{", b"["):
            self._place = _INSIDE
        elif self._place in (_FIRST, _NEXT) and begin not in (b",", b"]", b"}", b":"):
            self._place = _SCALAR
        elif self._place is _BEFORE:
            raise Malformed("The body must be a JSON array; messages in lines are application/x-ndjson.")
        else:
            raise Malformed(f"The body is not a JSON array: {begin.decode('ascii', 'replace')!r} {self._place}.")

    def _pass(self, place: str) -> None:
        del self._text[:1]
        self._place = place

    def _take(self) -> bytes:
        element = bytes(self._text[: self._at])
        del self._text[: self._at]
        self._at = 0
        self._place = _AFTER
        return element

    def _find_scalar_end(self) -> bool:
        end = _SCALAR_END.search(self._text, self._at)
        self._at = end.start() if end is not None else len(self._text)
        return end is not None

    def _find_end(self) -> bool:
        """Goes on to the end of the element that has begun. False if it is not there yet."""
        while True:
            if self._in_string:
                if not self._find_string_end():
                    return False
            else:
                found = _STRUCTURE.search(self._text, self._at)
                if found is None:
                    self._at = len(self._text)
                    return False
                self._at = found.end()
                self._count(found[0])
            if not self._depth and not self._in_string:
                return True

    def _find_string_end(self) -> bool:
        while (found := _STRING.search(self._text, self._at)) is not None:
            self._at = found.end()
            if found[0] == b'"':
                self._in_string = False
                return True
            if self._at == len(self._text):
                self._at -= 1  # what is escaped comes with the next piece
                return False
            self._at += 1
        self._at = len(self._text)
        return False

    def _count(self, mark: bytes) -> None:
        if mark == b'"':
            self._in_string = True
        elif mark in b"{[":
            self._depth += 1
            if self._depth > self._depth_max:
                raise Malformed(f"The body is nested more than {self._depth_max} deep.")
        else:
            self._depth -= 1


def _check_size(size_bytes: int, size_bytes_max: int) -> None:
    if size_bytes > size_bytes_max:
        text = f"A message of the stream is larger than {size_bytes_max} bytes."
        raise HttpError(413, text, "MESSAGE_TOO_LARGE", metadata={"limit_bytes": str(size_bytes_max)})
