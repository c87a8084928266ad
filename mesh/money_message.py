"""Money as it travels: google.type.Money, in units and billionths."""

from typing import Final

from googleapis.google.type.money_pb import Money as MoneyMessage

from mesh.money import Money

_NANOS_PER_HUNDREDTH: Final = 10_000_000


def money_message(money: Money) -> MoneyMessage:
    """Returns the message of an amount."""
    units, hundredths = divmod(money.hundredths, 100)
    return MoneyMessage(currency_code=money.currency, units=units, nanos=hundredths * _NANOS_PER_HUNDREDTH)


def money_of(message: MoneyMessage) -> Money:
    """Returns the amount of a message, without what is less than a hundredth: contracts of ours allow no such price."""
    return Money(message.currency_code, message.units * 100 + message.nanos // _NANOS_PER_HUNDREDTH)
