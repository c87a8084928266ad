"""The pricing of orders."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from mesh.errors import InvalidArgument
from mesh.money import Money
from services.orders.domain import Order, PendingStep, State
from services.orders.pricing import Product, RequestedLine, price

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

SPADE = Product("products/spade", "Spade", Money("EUR", 1999))
SEEDS = Product("products/seeds", "Seeds", Money("EUR", 249))
BOOTS = Product("products/boots", "Boots", Money("USD", 7000))
ON_SALE = {product.name: product for product in (SPADE, SEEDS, BOOTS)}


def test_an_order_is_placed_pending_at_current_prices() -> None:
    """Lines have the products' titles and prices, amounts and the total are exact, and the state is pending."""
    lines = price([RequestedLine("products/spade", 2), RequestedLine("products/seeds", 3)], ON_SALE)
    placed = Order.place(UUID(int=7), "users/ada", lines, NOW)
    assert [(line.title, line.amount) for line in placed.lines] == [
        ("Spade", Money("EUR", 3998)),
        ("Seeds", Money("EUR", 747)),
    ]
    assert placed.total == Money("EUR", 4745)
    assert (placed.name, placed.state, placed.etag) == (f"orders/{UUID(int=7)}", State.PENDING, "1")
    assert placed.pending_step is PendingStep.STOCK


def test_the_largest_order_fits_the_contract() -> None:
    """100 lines of 1000 pieces at the highest price are an exact total within 64 bits."""
    dearest = Product("products/yacht", "Yacht", Money("EUR", 999_999_999))
    line = price([RequestedLine("products/yacht", 1000)], {"products/yacht": dearest})[0]
    total = Order.place(uuid4(), "users/ada", (line,) * 100, NOW).total
    assert total == Money("EUR", 99_999_999_900_000)
    assert total.hundredths < 2**63


def test_every_line_with_another_price_is_named() -> None:
    """A price or a currency that is not the current one is a violation with the current price."""
    requested = [
        RequestedLine("products/spade", 1, Money("EUR", 1998)),
        RequestedLine("products/seeds", 1, Money("EUR", 249)),
        RequestedLine("products/never", 1, Money("EUR", 1)),
        RequestedLine("products/seeds", 2, Money("USD", 249)),
        RequestedLine("products/seeds", 3),
    ]
    with pytest.raises(InvalidArgument) as caught:
        price(requested, ON_SALE)
    assert [(each.field, each.reason, each.description) for each in caught.value.violations] == [
        ("order.lines[0]", "PRICE_CHANGED", "now 19.99 EUR"),
        ("order.lines[2].product", "NOT_FOUND", "is not on sale"),
        ("order.lines[3]", "PRICE_CHANGED", "now 2.49 EUR"),
    ]


def test_every_line_that_cannot_be_sold_is_named() -> None:
    """Unknown products, and those in another currency than the first valid line, are violations."""
    wanted = ["products/gone", "products/spade", "products/boots", "products/seeds", "products/never"]
    with pytest.raises(InvalidArgument) as caught:
        price([RequestedLine(name, 1) for name in wanted], ON_SALE)
    assert [(violation.field, violation.reason) for violation in caught.value.violations] == [
        ("order.lines[0].product", "NOT_FOUND"),
        ("order.lines[2].product", "CURRENCY"),
        ("order.lines[4].product", "NOT_FOUND"),
    ]
