"""The rules of orders."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from mesh.money import Money
from services.orders.domain import Actor, Order, OrderLine, Product, RequestedLine, State, price, uid_of, visible_to

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)

SPADE = Product("products/spade", "Spade", Money("EUR", 1999))
SEEDS = Product("products/seeds", "Seeds", Money("EUR", 249))
BOOTS = Product("products/boots", "Boots", Money("USD", 7000))
ON_SALE = {product.name: product for product in (SPADE, SEEDS, BOOTS)}


def order(state: State = State.PENDING) -> Order:
    """Returns an order of one spade in this state, at its first version."""
    line = OrderLine("products/spade", "Spade", 1, Money("EUR", 1999))
    return Order(uuid4(), "users/ada", (line,), state, NOW, NOW, version=1)


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


def test_the_largest_order_fits_the_contract() -> None:
    """100 lines of 1000 pieces at the highest price are an exact total within 64 bits."""
    dearest = Product("products/yacht", "Yacht", Money("EUR", 999_999_999))
    line = price([RequestedLine("products/yacht", 1000)], {"products/yacht": dearest})[0]
    total = Order.place(uuid4(), "users/ada", (line,) * 100, NOW).total
    assert total == Money("EUR", 99_999_999_900_000)
    assert total.hundredths < 2**63


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


@pytest.mark.parametrize("etag", ["", "1"])
def test_a_pending_order_is_cancelled(etag: str) -> None:
    """Without an etag or with the current one the order becomes a cancelled one of the next version."""
    before = order()
    after = before.cancel(etag, LATER)
    assert (after.state, after.version, after.update_time, after.create_time) == (State.CANCELLED, 2, LATER, NOW)
    assert (after.uid, after.lines) == (before.uid, before.lines)


@pytest.mark.parametrize("etag", ["", "1", "stale"])
def test_cancelling_twice_changes_nothing(etag: str) -> None:
    """Cancelling a cancelled order returns it, even with a stale etag."""
    cancelled = order(State.CANCELLED)
    assert cancelled.cancel(etag, LATER) is cancelled


def test_a_stale_etag_does_not_cancel() -> None:
    """The error carries the current etag."""
    with pytest.raises(Aborted) as caught:
        order().cancel("0", LATER)
    assert (caught.value.reason, caught.value.metadata) == ("ETAG_MISMATCH", {"etag": "1"})


@pytest.mark.parametrize("state", [State.CONFIRMED, State.SHIPPED])
def test_an_order_in_a_later_state_is_not_cancelled(state: State) -> None:
    """The error names the state."""
    with pytest.raises(FailedPrecondition, match=f"The order is {state.value}") as caught:
        order(state).cancel("", LATER)
    assert (caught.value.reason, caught.value.metadata) == ("ORDER_STATE", {"state": state.name})


def test_an_order_is_visible_to_its_customer_and_to_staff() -> None:
    """Both get the order."""
    own = order()
    for actor in (Actor("users/ada"), Actor("users/boss", staff=True)):
        assert visible_to(actor, own.name, own) is own


def test_somebody_elses_order_does_not_exist() -> None:
    """The error is the same as for an order that does not exist."""
    own = order()
    errors = []
    for found in (own, None):
        with pytest.raises(NotFound) as caught:
            visible_to(Actor("users/eve"), own.name, found)
        errors.append((caught.value.message, caught.value.reason, caught.value.metadata))
    assert errors[0] == errors[1]


@pytest.mark.parametrize(
    "name",
    [
        "orders/1",
        "orders/me",
        "products/0f0e0d0c-0b0a-4908-8706-050403020100",
        "orders/0F0E0D0C-0B0A-4908-8706-050403020100",
        "orders/{0f0e0d0c-0b0a-4908-8706-050403020100}",
        "orders/\0",
    ],
)
def test_a_name_that_no_order_has_is_not_found(name: str) -> None:
    """Other spellings of a UUID are not names, because an order has only one name."""
    with pytest.raises(NotFound):
        uid_of(name)


def test_a_name_gives_its_uid() -> None:
    """The identifier in an order's name is its uid."""
    own = order()
    assert uid_of(own.name) == own.uid
