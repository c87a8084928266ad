"""The numbers that the demo's commands accept."""

import argparse

import pytest

from demo.arguments import between


@pytest.mark.parametrize("text", ["0", "-1", "1001", "nan", "inf", "-inf", "1e999", "", "many"])
def test_a_wrong_number_is_explained(text: str) -> None:
    """No run begins that could do nothing, or never end."""
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be a number from 0\.5 to 1000, and is '.*'"):
        between(float, 0.5, 1000)(text)


def test_numbers_within_the_limits_are_read() -> None:
    """Both limits are numbers that may be given."""
    assert (between(float, 0.5, 1000)("0.5"), between(int, 1, 10)("10")) == (0.5, 10)
