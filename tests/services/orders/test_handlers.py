"""OrdersService over a real channel, with a real PostgreSQL and a catalog that answers over gRPC."""

import asyncio
from uuid import uuid4

import pytest
from googleapis.google.type.money_pb import Money
from meshwright.orders.v1.events_pb import OrderCancelled, OrderPlaced
from meshwright.orders.v1.orders_pb import (
    CancelOrderRequest,
    CreateOrderRequest,
    GetOrderRequest,
    ListOrderChangesRequest,
    ListOrdersRequest,
    Order,
    OrderLine,
)
from protobuf.wkt import Timestamp

from mesh.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    MeshError,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from mesh.position import encode, fingerprint
from tests.services.calls import acting_with
from tests.services.orders.shop import CUSTOMER_SCOPES, STAFF_SCOPES, Shop, product


async def test_an_order_is_priced_by_the_catalog(shop: Shop) -> None:
    """The response has current titles, prices and total, and the customer of the token, and can be read again."""
    created = await shop.create(("products/spade", 2), ("products/seeds", 3))
    assert created.name == f"orders/{created.uid}"
    assert (created.customer, created.state, created.etag) == ("users/ada", Order.State.PENDING, "1")
    assert created.total == Money(currency_code="EUR", units=47, nanos=450_000_000)
    assert created.lines == [
        OrderLine(
            product="products/spade",
            quantity=2,
            title="Spade",
            unit_price=Money(currency_code="EUR", units=19, nanos=990_000_000),
            amount=Money(currency_code="EUR", units=39, nanos=980_000_000),
        ),
        OrderLine(
            product="products/seeds",
            quantity=3,
            title="Seeds",
            unit_price=Money(currency_code="EUR", units=2, nanos=490_000_000),
            amount=Money(currency_code="EUR", units=7, nanos=470_000_000),
        ),
    ]
    assert await shop.get(created.name) == created
    assert await shop.events() == [OrderPlaced(order=created)]


async def test_output_only_fields_are_ignored(shop: Shop) -> None:
    """A price, a total, a state and another customer in the request have no effect."""
    nothing = Money(currency_code="EUR")
    wish = Order(
        customer="users/eve",
        state=Order.State.SHIPPED,
        total=nothing,
        lines=[OrderLine(product="products/spade", quantity=1, title="Gift", unit_price=nothing, amount=nothing)],
    )
    with acting_with(shop.issuer.token("users/ada", CUSTOMER_SCOPES)):
        created = await shop.orders.create_order(CreateOrderRequest(order=wish))
    assert (created.customer, created.state, created.lines[0].title) == ("users/ada", Order.State.PENDING, "Spade")
    assert created.total == Money(currency_code="EUR", units=19, nanos=990_000_000)


async def test_a_later_price_does_not_change_an_order(shop: Shop) -> None:
    """The order keeps the prices of the time when it was placed."""
    created = await shop.create(("products/spade", 1))
    shop.catalog.products["products/spade"] = product("spade", 999_999)
    assert await shop.get(created.name) == created


async def test_an_order_is_placed_at_the_price_that_the_customer_expects(shop: Shop) -> None:
    """A product that was repriced since the customer saw it is refused, and the order at its new price is placed."""
    seen = shop.catalog.products["products/spade"].price
    shop.catalog.products["products/spade"] = repriced = product("spade", 2099)
    with pytest.raises(InvalidArgument) as caught:
        await shop.create(("products/spade", 1), expected=seen)
    [violation] = caught.value.violations
    assert (violation.field, violation.reason) == ("order.lines[0]", "PRICE_CHANGED")
    assert caught.value.reason == "LINES_REJECTED"
    assert await shop.events() == []
    placed = await shop.create(("products/spade", 1), expected=repriced.price)
    assert placed.lines[0].unit_price == repriced.price
    assert placed.lines[0].expected_unit_price is None


async def test_a_repeated_order_ignores_a_later_price(shop: Shop) -> None:
    """The first response is repeated, and another expected price under its request_id is another request."""
    request_id, seen = str(uuid4()), shop.catalog.products["products/spade"].price
    placed = await shop.create(("products/spade", 1), expected=seen, request_id=request_id)
    shop.catalog.products["products/spade"] = product("spade", 2099)
    assert await shop.create(("products/spade", 1), expected=seen, request_id=request_id) == placed
    with pytest.raises(InvalidArgument) as caught:
        await shop.create(("products/spade", 1), request_id=request_id)
    assert caught.value.violations[0].reason == "REQUEST_ID_REUSED"


@pytest.mark.parametrize(
    "expected",
    [
        Money(units=19),
        Money(currency_code="EUR", units=-1),
        Money(currency_code="EUR", units=10_000_000),
        Money(currency_code="EUR", units=19, nanos=995_000_000),
    ],
    ids=["no currency", "negative", "too much", "fractions of a cent"],
)
async def test_an_expected_price_that_no_product_can_have_is_refused(shop: Shop, expected: Money) -> None:
    """The contract's rules name the line, and the catalog is not called."""
    with pytest.raises(InvalidArgument) as caught:
        await shop.create(("products/spade", 1), expected=expected)
    assert [violation.field for violation in caught.value.violations] == ["order.lines[0].expected_unit_price"]
    assert shop.catalog.calls == 0


async def test_a_hundred_lines_with_another_price_are_all_named(shop: Shop) -> None:
    """The largest error of this kind reaches the caller completely."""
    names = [f"products/{uuid4()}" for _ in range(100)]
    dearest = {name: product(name.removeprefix("products/"), 999_999_999) for name in names}
    shop.catalog.products |= dearest
    with pytest.raises(InvalidArgument) as caught:
        await shop.create(*((name, 1) for name in names), expected=Money(currency_code="EUR", units=1))
    assert [violation.reason for violation in caught.value.violations] == ["PRICE_CHANGED"] * 100


async def test_every_line_that_cannot_be_sold_is_named(shop: Shop) -> None:
    """Unknown and deleted products, and another currency, are violations of their lines; nothing is stored."""
    shop.catalog.products["products/old"] = product("old", 100)
    shop.catalog.products["products/old"].delete_time = Timestamp.now()
    names = ["products/never", "products/spade", "products/old", "products/boots", "products/nor-this"]
    with pytest.raises(InvalidArgument) as caught:
        await shop.create(*((name, 1) for name in names))
    assert [(violation.field, violation.reason) for violation in caught.value.violations] == [
        ("order.lines[0].product", "NOT_FOUND"),
        ("order.lines[2].product", "NOT_FOUND"),
        ("order.lines[3].product", "CURRENCY"),
        ("order.lines[4].product", "NOT_FOUND"),
    ]
    assert await shop.names() == []
    assert await shop.events() == []


async def test_an_order_of_unknown_products_alone_is_refused(shop: Shop) -> None:
    """The second request to the catalog would be empty, and is not an error of its own."""
    with pytest.raises(InvalidArgument) as caught:
        await shop.create(("products/never", 1))
    assert [violation.field for violation in caught.value.violations] == ["order.lines[0].product"]


@pytest.mark.parametrize("currency", ["", "USD"], ids=["unknown", "another currency"])
async def test_a_hundred_lines_that_cannot_be_sold_are_all_named(shop: Shop, currency: str) -> None:
    """The largest error reaches the caller completely."""
    names = [f"products/{uuid4()}" for _ in range(99)]
    if currency:
        shop.catalog.products |= {name: product(name.removeprefix("products/"), 1, currency) for name in names}
    with pytest.raises(InvalidArgument) as caught:
        await shop.create(("products/spade", 1), *((name, 1) for name in names))
    fields = [violation.field for violation in caught.value.violations]
    assert fields == [f"order.lines[{n}].product" for n in range(1, 100)]


@pytest.mark.parametrize(
    ("lines", "fields"),
    [
        ([], ["order.lines"]),
        ([("products/spade", 0), ("products/seeds", 1001)], ["order.lines[0].quantity", "order.lines[1].quantity"]),
        ([("spade", 1)], ["order.lines[0].product"]),
        ([("products/spade", 1), ("products/spade", 2)], ["order.lines"]),
    ],
    ids=["no line", "quantities", "not a product", "a product twice"],
)
async def test_lines_against_the_contract_are_refused(
    shop: Shop, lines: list[tuple[str, int]], fields: list[str]
) -> None:
    """The contract's rules name each invalid field, and the catalog is not called."""
    with pytest.raises(InvalidArgument) as caught:
        await shop.create(*lines)
    assert [violation.field for violation in caught.value.violations] == fields
    assert shop.catalog.calls == 0


async def test_the_same_request_id_gets_the_same_order(shop: Shop) -> None:
    """A repeated call gets the first response, even after a change of price; there is one order and one event."""
    request_id = str(uuid4())
    first = await shop.create(("products/spade", 1), request_id=request_id)
    shop.catalog.products["products/spade"] = product("spade", 1)
    assert await shop.create(("products/spade", 1), request_id=request_id) == first
    assert await shop.names() == [first.name]
    assert await shop.events() == [OrderPlaced(order=first)]


async def test_a_repeated_call_does_not_need_the_catalog(shop: Shop) -> None:
    """It returns the first response while the catalog is down."""
    request_id = str(uuid4())
    first = await shop.create(("products/spade", 1), request_id=request_id)
    shop.catalog.failure = Unavailable("down")
    assert await shop.create(("products/spade", 1), request_id=request_id) == first
    assert shop.catalog.calls == 1


async def test_concurrent_calls_with_one_id_place_one_order(shop: Shop) -> None:
    """All calls get the same order."""
    request_id = str(uuid4())
    answers = await asyncio.gather(*(shop.create(("products/spade", 1), request_id=request_id) for _ in range(5)))
    assert len({answer.name for answer in answers}) == 1
    assert await shop.names() == [answers[0].name]


async def test_a_request_id_is_for_one_request(shop: Shop) -> None:
    """Another body with the same id is rejected; ids of different customers are independent."""
    request_id = str(uuid4())
    first = await shop.create(("products/spade", 1), request_id=request_id)
    with pytest.raises(InvalidArgument) as caught:
        await shop.create(("products/spade", 2), request_id=request_id)
    assert caught.value.reason == "REQUEST_ID_REUSED"
    other = await shop.create(("products/spade", 1), request_id=request_id, subject="users/eve")
    assert (other.customer, other.name == first.name) == ("users/eve", False)


async def test_a_failed_call_does_not_use_its_request_id(shop: Shop) -> None:
    """After an error, the id can be used once the product exists."""
    request_id = str(uuid4())
    with pytest.raises(InvalidArgument):
        await shop.create(("products/rake", 1), request_id=request_id)
    shop.catalog.products["products/rake"] = product("rake", 100)
    assert (await shop.create(("products/rake", 1), request_id=request_id)).state is Order.State.PENDING


async def test_without_the_catalog_orders_are_read_and_cancelled_but_not_placed(shop: Shop) -> None:
    """Placing an order is Unavailable with a retry delay."""
    created = await shop.create(("products/spade", 1))
    shop.catalog.failure = Unavailable("connection refused by 10.0.0.7:9000")
    with pytest.raises(Unavailable) as caught:
        await shop.create(("products/spade", 1))
    assert (caught.value.reason, caught.value.retry_after_s) == ("CATALOG_UNAVAILABLE", 1)
    assert "10.0.0.7" not in caught.value.message
    assert await shop.get(created.name) == created
    assert await shop.names() == [created.name]
    assert (await shop.cancel(created.name)).state is Order.State.CANCELLED


async def test_a_busy_catalog_is_no_failure_of_orders(shop: Shop) -> None:
    """Circuit breakers don't count the status, so that orders can still be read."""
    shop.catalog.failure = ResourceExhausted("Every connection to the database is busy.", reason="DATABASE_BUSY")
    with pytest.raises(ResourceExhausted) as caught:
        await shop.create(("products/spade", 1))
    assert (caught.value.reason, caught.value.retry_after_s) == ("CATALOG_BUSY", 1)


async def test_somebody_elses_order_does_not_exist(shop: Shop) -> None:
    """Reading and cancelling it fail as for an order that does not exist, and it does not change."""
    created = await shop.create(("products/spade", 1))
    absent = f"orders/{uuid4()}"
    for method in (shop.get, shop.cancel):
        errors = []
        for name in (created.name, absent):
            with pytest.raises(NotFound) as caught:
                await method(name, subject="users/eve")
            errors.append((caught.value.message.replace(name, "…"), caught.value.reason, caught.value.metadata))
        assert errors[0] == errors[1]
    assert await shop.names(subject="users/eve") == []
    assert await shop.get(created.name) == created


async def test_staff_sees_and_cancels_all_orders(shop: Shop) -> None:
    """The scope orders.manage allows it."""
    names = [(await shop.create(("products/spade", 1), subject=subject)).name for subject in ("users/ada", "users/eve")]
    assert await shop.names(subject="users/boss", scopes=STAFF_SCOPES) == names[::-1]
    assert (await shop.get(names[0], subject="users/boss", scopes=STAFF_SCOPES)).customer == "users/ada"
    cancelled = await shop.cancel(names[1], subject="users/boss", scopes=STAFF_SCOPES)
    assert (cancelled.customer, cancelled.state) == ("users/eve", Order.State.CANCELLED)


async def test_pages_are_the_newest_first(shop: Shop) -> None:
    """Small pages have all orders of the caller once, the newest first."""
    names = [(await shop.create(("products/spade", 1))).name for _ in range(5)]
    await shop.create(("products/spade", 1), subject="users/eve")
    assert await shop.names(2) == names[::-1]


async def test_a_position_beyond_all_changes(shop: Shop) -> None:
    """A forged token only selects another position, whatever number it has."""
    order = await shop.create(("products/spade", 1))
    token = encode(fingerprint(["changes", order.name.removeprefix("orders/")]), (2**40,))
    with acting_with(shop.issuer.token("users/ada", CUSTOMER_SCOPES)):
        request = ListOrderChangesRequest(parent=order.name, page_token=token)
        assert (await shop.orders.list_order_changes(request)).changes == []


async def test_a_page_token_is_for_its_list(shop: Shop) -> None:
    """The token of another customer's list, and a forged one, are rejected."""
    for _ in range(2):
        await shop.create(("products/spade", 1))
    with acting_with(shop.issuer.token("users/ada", CUSTOMER_SCOPES)):
        token = (await shop.orders.list_orders(ListOrdersRequest(page_size=1))).next_page_token
    for wrong in (token, "x"):
        with acting_with(shop.issuer.token("users/eve", CUSTOMER_SCOPES)), pytest.raises(InvalidArgument) as caught:
            await shop.orders.list_orders(ListOrdersRequest(page_size=1, page_token=wrong))
        assert [violation.field for violation in caught.value.violations] == ["page_token"]


async def test_cancelling_publishes_one_event(shop: Shop) -> None:
    """Repeated and concurrent cancellations all return the cancelled order."""
    created = await shop.create(("products/spade", 1))
    cancelled = await shop.cancel(created.name, created.etag)
    assert (cancelled.state, cancelled.etag) == (Order.State.CANCELLED, "2")
    assert await asyncio.gather(*(shop.cancel(created.name, etag) for etag in ("", "1", "2"))) == [cancelled] * 3
    assert await shop.get(created.name) == cancelled
    assert await shop.events() == [OrderPlaced(order=created), OrderCancelled(order=cancelled)]


async def test_concurrent_cancellations_change_an_order_once(shop: Shop) -> None:
    """One of them changes the order and publishes an event, and all return the same."""
    created = await shop.create(("products/spade", 1))
    answers = await asyncio.gather(*(shop.cancel(created.name, created.etag) for _ in range(5)))
    assert [answer.etag for answer in answers] == ["2"] * 5
    assert len(await shop.events()) == 2


async def test_a_stale_etag_does_not_cancel(shop: Shop) -> None:
    """The error has the current etag; the order stays pending and no event is published."""
    created = await shop.create(("products/spade", 1))
    with pytest.raises(Aborted) as caught:
        await shop.cancel(created.name, "0")
    assert (caught.value.reason, caught.value.metadata) == ("ETAG_MISMATCH", {"etag": "1"})
    assert await shop.get(created.name) == created
    assert await shop.events() == [OrderPlaced(order=created)]


async def test_a_shipped_order_is_not_cancelled(shop: Shop) -> None:
    """The error names the state."""
    created = await shop.create(("products/spade", 1))
    async with shop.database.transaction() as tx:
        await tx.execute("UPDATE orders SET state = 'shipped'")
    with pytest.raises(FailedPrecondition) as caught:
        await shop.cancel(created.name)
    assert caught.value.metadata == {"state": "SHIPPED"}


@pytest.mark.parametrize(
    ("token", "error"),
    [("", Unauthenticated), ("forged", Unauthenticated), ("profile", PermissionDenied)],
    ids=["none", "forged", "without scope"],
)
async def test_nobody_calls_without_the_right(shop: Shop, token: str, error: type[MeshError]) -> None:
    """Every method requires a valid token with its scope."""
    if token == "profile":
        token = shop.issuer.token("users/ada", "profile")
    order = Order(lines=[OrderLine(product="products/spade", quantity=1)])
    name = f"orders/{uuid4()}"
    with acting_with(token):
        for call in (
            shop.orders.create_order(CreateOrderRequest(order=order)),
            shop.orders.get_order(GetOrderRequest(name=name)),
            shop.orders.list_orders(ListOrdersRequest()),
            shop.orders.cancel_order(CancelOrderRequest(name=name)),
        ):
            with pytest.raises(error):
                await call
