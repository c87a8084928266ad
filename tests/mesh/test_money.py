"""Amounts of money."""

import pytest

from mesh.money import Money


def test_money_of_two_currencies_does_not_add_up() -> None:
    """Adding amounts of two currencies is an error."""
    with pytest.raises(ValueError, match="USD to EUR"):
        Money("EUR", 1) + Money("USD", 1)


def test_sums_are_exact() -> None:
    """Hundredths are counted, not rounded."""
    assert Money("EUR", 1) * 3 + Money("EUR", 7) == Money("EUR", 10)
