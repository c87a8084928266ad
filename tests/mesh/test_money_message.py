"""Money in messages."""

import pytest
from googleapis.google.type.money_pb import Money as MoneyMessage

from mesh.money import Money
from mesh.money_message import money_message, money_of

AMOUNTS = {
    0: (0, 0),
    1: (0, 10_000_000),
    99: (0, 990_000_000),
    100: (1, 0),
    1_299: (12, 990_000_000),
    999_999_999: (9_999_999, 990_000_000),
}


@pytest.mark.parametrize(("hundredths", "parts"), AMOUNTS.items())
def test_an_amount_travels_in_units_and_nanos(hundredths: int, parts: tuple[int, int]) -> None:
    """google.type.Money holds the same amount, and is read back."""
    message = money_message(Money("EUR", hundredths))
    assert (message.currency_code, message.units, message.nanos) == ("EUR", *parts)
    assert money_of(message) == Money("EUR", hundredths)


def test_less_than_a_hundredth_is_left_out() -> None:
    """An amount is cut to hundredths; the contracts reject finer ones."""
    assert money_of(MoneyMessage(currency_code="EUR", units=1, nanos=19_999_999)) == Money("EUR", 101)
