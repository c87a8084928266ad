"""Money in messages: google.type.Money, in units and billionths."""

from typing import Final

from googleapis.google.type.money_pb import Money as MoneyMessage

from mesh.money import Money

_NANOS_PER_HUNDREDTH: Final = 10_000_000


def money_message(money: Money) -> MoneyMessage:
    """Returns an amount as a message."""
    units, hundredths = divmod(money.hundredths, 100)
    return MoneyMessage(currency_code=money.currency, units=units, nanos=hundredths * _NANOS_PER_HUNDREDTH)


def money_of(message: MoneyMessage) -> Money:
    """Returns the amount in a message, cut to hundredths. Our contracts allow no finer prices."""
    return Money(message.currency_code, message.units * 100 + message.nanos // _NANOS_PER_HUNDREDTH)
