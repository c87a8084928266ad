"""The work of the splitters, which a client must not be able to multiply by compression."""

from collections.abc import Callable

import pytest

from edge.protocols.rest.stream_splitters import ArraySplitter, LineSplitter, Splitter
from edge.protojson.parser import MalformedJson
from tests.python_calls import count_calls


def lines() -> Splitter:
    """Returns a splitter of lines."""
    return LineSplitter(1_000_000)


def array() -> Splitter:
    """Returns a splitter of an array."""
    return ArraySplitter(1_000_000, 100)


@pytest.mark.parametrize(
    ("make", "before", "repeated"),
    [
        (lines, b"", b"\n"),
        (lines, b"", b" \t\r\n"),
        (lines, b"{}\n", b"\n"),
        (array, b"", b"\n"),
        (array, b"[{}", b" \n"),
        (array, b'["', b"\\\\"),
        (array, b'["', b'\\"'),
        (array, b'[["', b"\\\\"),
        (array, b"[[", b'"",'),
        (array, b"[[", b'"\\\\",1,'),
        (array, b"[", b"1"),
    ],
)
def test_what_is_no_message_is_passed_at_once(make: Callable[[], Splitter], before: bytes, repeated: bytes) -> None:
    """White space, strings and numbers take as many calls whatever their length, in one piece and in the next."""
    few, many = make(), make()

    def feed(splitter: Splitter, count: int) -> None:
        list(splitter.feed(before + repeated * count))
        list(splitter.feed(repeated * count))

    assert count_calls(lambda: feed(many, 10_000)) == count_calls(lambda: feed(few, 10))


@pytest.mark.parametrize("text", [b'["a\\"],[",{"b":"\\\\"},[["]"],"c"]]', b'[ "" , "\\\\" ,[ ],{} ,1\n,"["]'])
def test_elements_are_found_wherever_the_text_is_cut(text: bytes) -> None:
    """Brackets in strings and escaped quotes don't end an element."""
    whole = list(array().feed(text))
    for cut in range(len(text)):
        splitter = array()
        assert [*splitter.feed(text[:cut]), *splitter.feed(text[cut:]), *splitter.end()] == whole
        assert not splitter.held_bytes
    assert len(whole) == text.count(b",") - text.count(b"],[") - text.count(b'],"c') + 1


def test_lines_begin_with_their_message() -> None:
    """White space before a message does not count towards its size."""
    splitter = LineSplitter(4)
    found = [*splitter.feed(b"\n  \n  "), *splitter.feed(b"  1234\r"[:6]), *splitter.feed(b"\n  5"), *splitter.end()]
    assert found == [b"1234", b"5"]


def test_other_space_is_no_json() -> None:
    """Only white space of JSON (RFC 8259, section 2) is ignored; the reader of messages rejects the rest."""
    assert list(lines().feed(b"\v\n")) == [b"\v"]
    with pytest.raises(MalformedJson):
        list(array().feed(b"\v["))
