"""The statistics of benchmarks."""

import pytest

from benchmarks.rounds import Spread, percentile


def test_a_spread_has_the_median_and_the_ends() -> None:
    """The order of the values has no influence, and an even number of them has a median in between."""
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert Spread.of([4.0, 1.0, 2.0, 3.0]).median == 2.5


def test_ratios_are_taken_within_a_round() -> None:
    """A round in which everything is slow does not change the ratio, though it changes both medians."""
    assert Spread.of_ratios([2.0, 20.0, 3.0], [1.0, 10.0, 1.0]) == Spread(2.0, 2.0, 3.0)


def test_ratios_need_the_same_rounds() -> None:
    """A round that only one side has is an error, not left out."""
    with pytest.raises(ValueError, match="zip"):
        Spread.of_ratios([1.0, 2.0], [1.0])


def test_a_spread_as_text() -> None:
    """It has the decimals that are asked for."""
    assert Spread(1.25, 1.0, 2.5).text(1) == "1.2 (1.0 to 2.5)"


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_percentile_is_one_of_the_values(share: float, expected: float) -> None:
    """It is the nearest rank, so that the 99th of a hundred values is not the greatest."""
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


def test_a_percentile_of_one_value() -> None:
    """One value is every percentile."""
    assert percentile([7.0], 0.99) == 7.0
