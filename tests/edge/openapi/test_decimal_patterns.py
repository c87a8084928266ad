"""Patterns of numbers in a range."""

import re

from hypothesis import given
from hypothesis import strategies as st

from edge.openapi.decimal_patterns import range_pattern

NUMBERS = st.integers(-(2**63), 2**64) | st.integers(-120, 120)


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_pattern_matches_the_numbers_in_its_range(one: int, other: int, number: int) -> None:
    """The pattern matches all numbers in the range, with its bounds, and no others."""
    least, greatest = sorted((one, other))
    pattern = re.compile(range_pattern(least, greatest))
    for each in (number, least - 1, least, least + 1, greatest - 1, greatest, greatest + 1):
        assert bool(pattern.search(str(each))) is (least <= each <= greatest), (pattern.pattern, each)
    assert not pattern.search("007")
