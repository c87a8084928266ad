"""Splitters of a text that arrives in pieces into messages. Only the current message is held.

They only find where each message ends; the reader of messages checks that its JSON is valid. White space and strings
are passed by one match of a pattern, whatever their length, because a few bytes of a compressed body may be millions of
line feeds or backslashes.
"""

import re
from collections.abc import Iterator
from typing import Final, Protocol

from edge.http.errors import HttpError
from edge.protojson.parser import MalformedJson

_SPACE = re.compile(rb"[ \t\n\r]*")
# Possessive and atomic, so that a long string leaves nothing to go back to. Groups are atomic, because possessive ones
# match too little before Python 3.11.5: https://github.com/python/cpython/issues/106052
_STRING = rb'[^"\\]*+(?>(?:\\.[^"\\]*+)*)'
_STRING_REST = re.compile(_STRING, re.DOTALL)
_FLAT = re.compile(rb'[^"{}\[\]]*+(?>(?:"%b"[^"{}\[\]]*+)*)' % _STRING, re.DOTALL)
_SCALAR_END = re.compile(rb"[ \t\n\r,\]]")

# The positions of the scanner in the array.
_BEFORE: Final = "before the array"
_FIRST: Final = "before the first element"
_NEXT: Final = "after a comma"
_INSIDE: Final = "inside a string, an array or an object"
_SCALAR: Final = "inside another element"
_AFTER: Final = "after an element"
_DONE: Final = "after the array"


class Splitter(Protocol):
    """The splitter of one body."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yields the messages that the piece completes. Raises MalformedJson, or HttpError 413 if a message is too
        large.
        """

    def end(self) -> Iterator[bytes]:
        """Yields the last message if the end of the body completes it. Raises MalformedJson if it is incomplete."""

    @property
    def held_bytes(self) -> int:
        """Returns the size of the incomplete message."""


class LineSplitter:
    """The splitter of NDJSON and JSON Lines, which have a message in each line. Empty lines are ignored."""

    def __init__(self, size_bytes_max: int) -> None:
        self._size_bytes_max = size_bytes_max
        self._text = bytearray()
        self._at = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yields the lines that end in this piece."""
        self._text += piece
        if not self._at:
            _drop_space(self._text)
        while (end := self._text.find(b"\n", self._at)) >= 0:
            line = bytes(self._text[:end])
            del self._text[: end + 1]
            self._at = 0
            _drop_space(self._text)
            _check_size(len(line), self._size_bytes_max)
            yield line
        self._at = len(self._text)
        _check_size(self._at, self._size_bytes_max)

    def end(self) -> Iterator[bytes]:
        """Yields the last line, which may lack its line feed."""
        if self._text:
            yield bytes(self._text)

    @property
    def held_bytes(self) -> int:
        """Returns the size of the incomplete line."""
        return len(self._text)


class ArraySplitter:
    """The splitter of a JSON array (RFC 8259, section 5). An object is complete with its last bracket, before the comma
    that follows.
    """

    def __init__(self, size_bytes_max: int, depth_max: int) -> None:
        """`depth_max` is the maximum nesting of an element."""
        self._size_bytes_max = size_bytes_max
        self._depth_max = depth_max
        self._text = bytearray()
        self._at = 0  # the index of the next byte to scan
        self._place = _BEFORE
        self._depth = 0
        self._in_string = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yields the elements that this piece completes."""
        self._text += piece
        while self._at < len(self._text):
            if self._place in (_INSIDE, _SCALAR):
                is_complete = self._find_end() if self._place is _INSIDE else self._find_scalar_end()
                _check_size(self._at, self._size_bytes_max)
                if not is_complete:
                    return
                yield self._take()
            else:
                _drop_space(self._text)
                if self._text:
                    self._enter(self._text[:1])

    def end(self) -> Iterator[bytes]:
        """Yields nothing, because the closing bracket completes the last element."""
        if self._place is not _DONE:
            raise MalformedJson("The body ended before its JSON array was complete.")
        yield from ()

    @property
    def held_bytes(self) -> int:
        """Returns the size of the incomplete element."""
        return len(self._text)

    def _enter(self, begin: bytes | bytearray) -> None:
        """Moves on by the first byte after white space."""
        if self._place is _BEFORE and begin == b"[":
            self._pass(_FIRST)
        elif (self._place is _FIRST and begin == b"]") or (self._place is _AFTER and begin == b"]"):
            self._pass(_DONE)
        elif self._place is _AFTER and begin == b",":
            self._pass(_NEXT)
        elif self._place in (_FIRST, _NEXT) and begin in (b'"', b"{", b"["):
            self._place = _INSIDE
            self._at = 1
            self._count(begin)
        elif self._place in (_FIRST, _NEXT) and begin not in (b",", b"]", b"}", b":"):
            self._place = _SCALAR
        elif self._place is _BEFORE:
            raise MalformedJson("The body must be a JSON array; messages in lines are application/x-ndjson.")
        else:
            raise MalformedJson(f"The body is not a JSON array: {begin.decode('ascii', 'replace')!r} {self._place}.")

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
        """Scans to the end of the current element. Returns False if it has not arrived yet."""
        while True:
            self._at = _end_of(_STRING_REST if self._in_string else _FLAT, self._text, self._at)
            if self._at == len(self._text) or self._text[self._at : self._at + 1] == b"\\":
                return False  # an escaped character comes with the next piece
            self._count(self._text[self._at : self._at + 1])
            self._at += 1
            if not self._depth and not self._in_string:
                return True

    def _count(self, mark: bytes | bytearray) -> None:
        if mark == b'"':
            self._in_string = not self._in_string
        elif mark in b"{[":
            self._depth += 1
            if self._depth > self._depth_max:
                raise MalformedJson(f"The body is nested more than {self._depth_max} deep.")
        else:
            self._depth -= 1


def _drop_space(text: bytearray) -> None:
    """Deletes white space at the start."""
    del text[: _end_of(_SPACE, text, 0)]


def _end_of(pattern: re.Pattern[bytes], text: bytearray, start: int) -> int:
    """Returns the end of the match at `start`. The pattern matches the empty text too."""
    found = pattern.match(text, start)
    assert found is not None, "the pattern matches the empty text too"
    return found.end()


def _check_size(size_bytes: int, size_bytes_max: int) -> None:
    if size_bytes > size_bytes_max:
        text = f"A message of the stream is larger than {size_bytes_max} bytes."
        raise HttpError(413, text, "MESSAGE_TOO_LARGE", metadata={"limit_bytes": str(size_bytes_max)})
