"""Formats of the values in events, for templates of letters."""

from googleapis.google.type.money_pb import Money

from mesh.money_message import money_of

ORDER_PREFIX = "orders/"


def amount(money: Money | None) -> str:
    """Returns an amount such as "54.80 EUR"."""
    value = money_of(money or Money())
    units, hundredths = divmod(value.hundredths, 100)
    return f"{units}.{hundredths:02} {value.currency}"


def order_number(order: str) -> str:
    """Returns the number by which people know an order ("orders/{uid}"): the first part of its identifier."""
    return order.removeprefix(ORDER_PREFIX).partition("-")[0]
