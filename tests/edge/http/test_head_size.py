"""The size of request heads while they arrive."""

import pytest

from edge.http.head_size import HeadSize


@pytest.mark.parametrize(("reads", "exceeds"), [([10], False), ([11], True), ([5, 5], False), ([5, 6], True)])
def test_an_incomplete_head_is_limited(reads: list[int], exceeds: bool) -> None:
    """The bytes of an incomplete head count over all reads."""
    size = HeadSize(10)
    for index, count in enumerate(reads):
        size.start_read(count)
        if index == 0:
            size.start_message()
        found = size.exceeds_after_read()
    assert found is exceeds


def test_a_read_with_the_end_of_another_request_is_not_counted() -> None:
    """A read that ends one request and begins the next is not counted for the head of the next."""
    size = HeadSize(10)
    size.start_read(3)
    size.start_message()
    size.end_head()
    assert not size.exceeds_after_read()
    size.start_read(100)
    size.end_line()
    size.end_message()
    size.start_message()
    assert not size.exceeds_after_read()


def test_headers_are_counted_with_their_separators() -> None:
    """Each header counts with its colon, its space and its line end."""
    size = HeadSize(20)
    size.start_message()
    assert not size.exceeds_with_header(b"name", b"value1")
    assert size.exceeds_with_header(b"a", b"bc")


def test_an_unfinished_line_of_a_body_is_limited() -> None:
    """A chunk extension without an end exceeds the limit, but not a body whose pieces are parsed."""
    size = HeadSize(10)
    size.start_message()
    size.end_head()
    size.start_read(100)
    size.end_line()
    assert not size.exceeds_after_read()
    size.start_read(11)
    assert size.exceeds_after_read()
