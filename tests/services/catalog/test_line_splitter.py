"""The lines of a file that arrives in pieces."""

from hypothesis import given
from hypothesis import strategies as st

from services.catalog.line_splitter import LINE_BYTES_MAX, Line, LineSplitter
from tests.python_calls import count_calls


def lines_of(*pieces: bytes) -> list[Line]:
    """Returns the lines of a file in these pieces."""
    splitter = LineSplitter()
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return [*lines, *splitter.end()]


@given(st.lists(st.sampled_from([b"", b"a", b"\n", b" ", b"\r\n", b"bc\nd"]), max_size=20))
def test_lines_do_not_depend_on_the_pieces(pieces: list[bytes]) -> None:
    """Wherever the pieces end, the lines are those of the whole file, with their numbers, without blank ones."""
    whole = [Line(n, line.strip()) for n, line in enumerate(b"".join(pieces).split(b"\n"), 1) if line.strip()]
    assert lines_of(*pieces) == whole


def test_a_long_line_is_skipped() -> None:
    """A line that is too long has no content, and the lines after it are read."""
    fits = b"x" * LINE_BYTES_MAX
    assert lines_of(fits + b"\n", fits, b"y\n", b"a") == [Line(1, fits), Line(2, None), Line(3, b"a")]


def test_blank_lines_are_passed_at_once() -> None:
    """A run of blank lines takes as many calls whatever its length, and its lines are counted."""
    assert count_calls(lambda: lines_of(b"a" + b" \r\n" * 10_000)) == count_calls(
        lambda: lines_of(b"a" + b" \r\n" * 10)
    )
    assert lines_of(b"a" + b"\n" * 10_000, b"\n \nb") == [Line(1, b"a"), Line(10_003, b"b")]
