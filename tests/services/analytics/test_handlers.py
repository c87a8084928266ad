"""AnalyticsService over real channels, with a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import time
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from googleapis.google.type.money_pb import Money
from meshwright.analytics.v1.analytics_grpc import AnalyticsServiceClient
from meshwright.analytics.v1.analytics_pb import (
    Dimension,
    Event,
    GetExperimentRequest,
    IngestEventsRequest,
    IngestEventsResponse,
    Interval,
    ListAuditEntriesRequest,
    Measure,
    Metric,
    QueryMetricsRequest,
    WatchSalesRequest,
)
from meshwright.identity.v1.events_pb import UserDeleted
from meshwright.orders.v1.events_pb import OrderCancelled, OrderPlaced
from meshwright.orders.v1.orders_pb import Order, OrderLine
from meshwright.payments.v1.events_pb import PaymentCaptured, PaymentRefunded
from meshwright.payments.v1.payments_pb import Payment
from meshwright.recommendations.v1.events_pb import VariantConverted, VariantExposed
from protobuf.wkt import Timestamp

from mesh.database import Database
from mesh.errors import InvalidArgument, NotFound, PermissionDenied, ResourceExhausted
from mesh.events import Event as Delivered
from services.analytics import (
    domain,
    event_storage,
    handlers,
    metric_storage,
    name_storage,
    past_days,
    people_storage,
    sale_storage,
)
from services.analytics.client_events import ClientEvent
from services.analytics.consumers import (
    order_cancelled,
    order_placed,
    payment_captured,
    payment_refunded,
    user_deleted,
    variant_converted,
    variant_exposed,
)
from services.analytics.handlers import AnalyticsHandlers
from services.analytics.ingestion import Ingestion
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving

PRODUCT = f"products/{uuid4()}"
EVENTS_OF_DAY = 1000
OTHER = ("product_views", datetime.now(UTC), 7)
"""The metric, the time and the person of an event of another user."""


@pytest.fixture
async def client(database: Database) -> AsyncIterator[AnalyticsServiceClient]:
    """A client of the service; calls are made by staff."""
    issuer = Issuer()
    service = AnalyticsHandlers(database, Ingestion(database, EVENTS_OF_DAY), watch_every_s=0.05)
    with acting_with(issuer.token("users/staff", "analytics.read")):
        async with serving(issuer, service) as port, channel_to(port, "analytics") as channel:
            yield AnalyticsServiceClient(channel)


def event(**fields: Any) -> Event:
    """Returns a valid event, with these fields changed."""
    given: dict[str, Any] = {
        "event_id": str(uuid4()),
        "type": Event.Type.PRODUCT_VIEW,
        "event_time": Timestamp.from_datetime(datetime.now(UTC)),
        "product": PRODUCT,
    }
    return Event(**(given | fields))


async def ingest(client: AnalyticsServiceClient, *messages: list[Event]) -> IngestEventsResponse:
    """Sends messages with these events."""

    async def requests() -> AsyncIterator[IngestEventsRequest]:
        for events in messages:
            yield IngestEventsRequest(events=events)

    return await client.ingest_events(requests())


def order(customer: str = "users/ada", units: int = 2, currency: str = "EUR", product: str = PRODUCT) -> Order:
    """Returns an order of one product at 1.50."""
    amount = Money(currency_code=currency, units=3 * units // 2, nanos=500_000_000 * (units % 2))
    return Order(
        name=f"orders/{uuid4()}",
        customer=customer,
        lines=[OrderLine(product=product, quantity=units, amount=amount)],
        total=amount,
        update_time=Timestamp.from_datetime(datetime.now(UTC)),
    )


async def deliver(database: Database, handler: Callable[..., Awaitable[None]], data: Any, aggregate: str) -> None:
    """Handles an event as the inbox does."""
    kind = data.desc().type_name
    async with database.transaction() as tx:
        await handler(tx, Delivered(str(uuid4()), kind, kind.split(".")[1], aggregate, datetime.now(UTC), data))


async def place(database: Database, placed: Order) -> None:
    """Delivers OrderPlaced."""
    await deliver(database, order_placed, OrderPlaced(order=placed), placed.name)


async def test_an_event_that_is_sent_again_counts_once(client: AnalyticsServiceClient) -> None:
    """The second call and a repetition within the call are duplicates, and the metric counts each event once."""
    events = [event() for _ in range(3)]
    first = await ingest(client, [*events, events[0]])
    assert (first.accepted_count, first.duplicate_count, first.rejected_count) == (3, 1, 0)
    again = await ingest(client, events[:2], events[2:])
    assert (again.accepted_count, again.duplicate_count) == (0, 3)
    for interval in (Interval.MINUTE, Interval.HOUR, Interval.DAY):
        request = QueryMetricsRequest(metric=Metric.PRODUCT_VIEWS, interval=interval, group_by=Dimension.PRODUCT)
        [series] = (await client.query_metrics(request)).series
        assert series.total is not None
        assert (series.group, series.total.count) == (PRODUCT, 3)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"event_id": "7"}, "EVENT_ID_INVALID"),
        ({"type": Event.Type.UNSPECIFIED}, "EVENT_TYPE_MISSING"),
        ({"event_time": None}, "EVENT_TIME_MISSING"),
        ({"event_time": Timestamp(seconds=10**15)}, "EVENT_TIME_OUT_OF_RANGE"),
        ({"event_time": Timestamp(seconds=0)}, "EVENT_TIME_OUT_OF_RANGE"),
        ({"event_time": Timestamp(seconds=int(time()), nanos=-1)}, "EVENT_TIME_OUT_OF_RANGE"),
        ({"product": "products/7\0"}, "PRODUCT_INVALID"),
        ({"product": ""}, "PRODUCT_MISSING"),
        ({"page": "no/path"}, "PAGE_INVALID"),
        ({"type": Event.Type.PAGE_VIEW}, "PAGE_MISSING"),
        ({"experiment": "A", "variant": "b"}, "EXPERIMENT_INVALID"),
        ({"type": Event.Type.EXPOSURE}, "EXPERIMENT_MISSING"),
        ({"experiment": "a"}, "EXPERIMENT_MISSING"),
    ],
)
async def test_an_invalid_event_is_counted_by_its_reason(
    client: AnalyticsServiceClient, fields: dict[str, Any], reason: str
) -> None:
    """The valid ones around it are recorded, and the response has its position."""
    response = await ingest(client, [event()], [event(), event(**fields)])
    assert (response.accepted_count, response.rejected_count) == (2, 1)
    assert [(each.reason, each.count, each.first_index) for each in response.rejections] == [(reason, 1, 2)]


async def test_the_last_moment_of_a_day_counts_on_that_day(client: AnalyticsServiceClient) -> None:
    """The time of an event is cut to microseconds, not rounded to the next day."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    last = Timestamp(seconds=int(today.timestamp()) - 1, nanos=999_999_999)
    assert (await ingest(client, [event(event_time=last)])).accepted_count == 1
    request = QueryMetricsRequest(
        metric=Metric.PRODUCT_VIEWS, interval=Interval.DAY, end_time=Timestamp.from_datetime(today)
    )
    [series] = (await client.query_metrics(request)).series
    assert [point.start_time for point in series.points] == [Timestamp.from_datetime(today - timedelta(days=1))]


async def test_a_call_has_a_limit(client: AnalyticsServiceClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names it, and what was sent before may be sent again."""
    monkeypatch.setattr(handlers, "EVENTS_MAX", 3)
    with pytest.raises(ResourceExhausted, match="3 events"):
        await ingest(client, [event(), event()], [event(), event()])


async def test_names_are_not_counted_anew_for_each_batch(client: AnalyticsServiceClient, database: Database) -> None:
    """The roll-ups are locked meanwhile, for as long as it takes to count those of all callers without a token."""
    await ingest(client, [event(page=f"/{number}") for number in range(300)])
    async with database.transaction() as tx:
        person = await people_storage.person_of(tx, "users/staff")
        new = ClientEvent(str(uuid4()), "page_views", datetime.now(UTC), person, None, "/new", None, None)
        assert await event_storage.insert(tx, [new]) == 1
        query = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'reported_names'"
        assert await tx.fetchval(query) < 100


async def test_a_source_reports_a_limited_number_of_names(
    client: AnalyticsServiceClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One product too many is an error that names the limit, and nothing of its batch counts. Products of the day still
    count, and so do those of another day and of another user.
    """
    monkeypatch.setattr(name_storage, "NAMES_OF_USER_MAX", 2)
    products = [f"products/{uuid4()}" for _ in range(4)]
    await ingest(client, [event(product=product) for product in products[:2]])
    with pytest.raises(ResourceExhausted, match="2 different products") as caught:
        await ingest(client, [event(product=products[0]), event(product=products[2])])
    assert (caught.value.reason, caught.value.metadata["dimension"]) == ("NAMES_TOO_MANY", "product")
    assert (await ingest(client, [event(product=product) for product in products[:2]])).accepted_count == 2
    async with database.transaction() as tx:
        assert await event_storage.insert(tx, [ClientEvent(str(uuid4()), *OTHER, products[3], None, None, None)]) == 1
    async with database.transaction() as tx:
        await tx.execute("UPDATE reported_names SET day = day - 1; UPDATE reported_name_counts SET day = day - 1")
        assert await past_days.purge(tx, "reported_names") == 3
    assert (await ingest(client, [event(product=products[2])])).accepted_count == 1
    request = QueryMetricsRequest(metric=Metric.PRODUCT_VIEWS, interval=Interval.DAY, group_by=Dimension.PRODUCT)
    assert [each.total and each.total.count for each in (await client.query_metrics(request)).series] == [2, 2, 1, 1]


async def test_orders_are_counted_in_total_and_by_product(client: AnalyticsServiceClient, database: Database) -> None:
    """Placed and cancelled ones have metrics of their own, with units and amounts."""
    one, two = order(units=2), order(units=3)
    await place(database, one)
    await place(database, two)
    await deliver(database, order_cancelled, OrderCancelled(order=one), one.name)
    for dimension, group in ((Dimension.UNSPECIFIED, ""), (Dimension.PRODUCT, PRODUCT)):
        request = QueryMetricsRequest(metric=Metric.ORDERS_PLACED, interval=Interval.HOUR, group_by=dimension)
        [series] = (await client.query_metrics(request)).series
        assert series.total is not None
        assert (series.group, series.total.count, series.total.units) == (group, 2, 5)
        assert series.total.amount == Money(currency_code="EUR", units=7, nanos=500_000_000)
    request = QueryMetricsRequest(metric=Metric.ORDERS_CANCELLED, interval=Interval.DAY)
    [series] = (await client.query_metrics(request)).series
    assert series.total is not None
    assert (series.total.count, series.total.units) == (1, 2)


async def series_of(client: AnalyticsServiceClient, request: QueryMetricsRequest) -> list[tuple[str, str]]:
    """Returns the group and the currency of each series."""
    series = (await client.query_metrics(request)).series
    return [
        (each.group, each.total.amount.currency_code if each.total and each.total.amount else "") for each in series
    ]


async def test_groups_are_counted_apart_from_currencies(client: AnalyticsServiceClient, database: Database) -> None:
    """`top` counts groups, and wanted groups and the total are complete: each has a series for each currency."""
    small, none = f"products/{uuid4()}", f"products/{uuid4()}"
    for currency in ("EUR", "USD", "CHF"):
        await place(database, order(units=5, currency=currency))
    await place(database, order(units=4, product=small))
    placed = QueryMetricsRequest(metric=Metric.ORDERS_PLACED, interval=Interval.DAY, top=1)
    assert await series_of(client, placed) == [("", "EUR"), ("", "CHF"), ("", "USD")]
    placed.group_by, placed.order_by = Dimension.PRODUCT, Measure.UNITS
    currencies = [(PRODUCT, "CHF"), (PRODUCT, "EUR"), (PRODUCT, "USD")]
    assert await series_of(client, placed) == currencies
    placed.top, placed.groups = 0, [PRODUCT, small, none, *(f"products/{uuid4()}" for _ in range(10))]
    assert await series_of(client, placed) == [*currencies, (small, "EUR")]


async def test_a_response_with_too_many_points_is_not_cut(
    client: AnalyticsServiceClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says that one currency must be given, with which the query succeeds."""
    for currency in ("EUR", "USD", "CHF"):
        await place(database, order(currency=currency))
    monkeypatch.setattr(domain, "POINTS_MAX", 2)
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    request = QueryMetricsRequest(
        metric=Metric.ORDERS_PLACED,
        interval=Interval.DAY,
        start_time=Timestamp.from_datetime(end - timedelta(days=1)),
        end_time=Timestamp.from_datetime(end),
    )
    with pytest.raises(InvalidArgument) as caught:
        await client.query_metrics(request)
    assert [(each.field, each.reason) for each in caught.value.violations] == [("currency_code", "TOO_MANY_POINTS")]
    request.currency_code = "USD"
    assert await series_of(client, request) == [("", "USD")]


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00", "0001-02-20T00:00:00+00:00"])
async def test_a_period_is_within_the_calendar(client: AnalyticsServiceClient, end: str) -> None:
    """A valid time whose intervals would be outside of it is an invalid argument."""
    end_time = Timestamp.from_datetime(datetime.fromisoformat(end))
    with pytest.raises(InvalidArgument) as caught:
        await client.query_metrics(
            QueryMetricsRequest(metric=Metric.ORDERS_PLACED, interval=Interval.DAY, end_time=end_time)
        )
    assert [(each.field, each.reason) for each in caught.value.violations] == [("end_time", "PERIOD_INVALID")]


async def test_a_payment_of_nothing_is_counted(client: AnalyticsServiceClient, database: Database) -> None:
    """An order may be free. The captured amount is absent then."""
    payment = Payment(name="payments/8", order="orders/8", amount=Money(currency_code="EUR"))
    await deliver(database, payment_captured, PaymentCaptured(payment=payment), payment.name)
    request = QueryMetricsRequest(metric=Metric.PAYMENTS_CAPTURED, interval=Interval.DAY)
    [series] = (await client.query_metrics(request)).series
    assert series.total is not None
    assert (series.total.count, series.total.amount) == (1, Money(currency_code="EUR"))


async def test_payments_and_refunds_are_counted(client: AnalyticsServiceClient, database: Database) -> None:
    """Two partial refunds count with their own amounts, also when the customer's account is gone."""
    euro = Money(currency_code="EUR", units=1)
    payment = Payment(name="payments/7", order="orders/7", captured=Money(currency_code="EUR", units=5))
    await deliver(database, payment_captured, PaymentCaptured(payment=payment), payment.name)
    for _ in range(2):
        await deliver(database, payment_refunded, PaymentRefunded(payment=payment, amount=euro), payment.name)
    for metric, count, units in ((Metric.PAYMENTS_CAPTURED, 1, 5), (Metric.PAYMENTS_REFUNDED, 2, 2)):
        [series] = (await client.query_metrics(QueryMetricsRequest(metric=metric, interval=Interval.DAY))).series
        assert series.total is not None
        assert series.total.amount is not None
        assert (series.total.count, series.total.amount.units) == (count, units)


async def test_the_result_of_an_experiment_is_read(client: AnalyticsServiceClient, database: Database) -> None:
    """Users of each variant, and those of them who converted. Clients can't add to an experiment of a service."""
    name, now = "recommendations.one", Timestamp.from_datetime(datetime.now(UTC))
    for number, variant in enumerate(["cosine", "cosine", "frequent", "frequent", "frequent"]):
        user = f"users/{number}"
        shown = VariantExposed(user=user, experiment=name, variant=variant, expose_time=now)
        await deliver(database, variant_exposed, shown, user)
        if number in (0, 2, 3):
            bought = VariantConverted(user=user, experiment=name, variant=variant, order="orders/7", convert_time=now)
            await deliver(database, variant_converted, bought, user)
    other = {"type": Event.Type.EXPOSURE, "variant": "cosine"}
    response = await ingest(client, [event(experiment=name, **other), event(experiment="recommendations", **other)])
    assert [each.reason for each in response.rejections] == ["EXPERIMENT_INVALID"]
    experiment = await client.get_experiment(GetExperimentRequest(name=f"experiments/{name}"))
    assert [(each.variant, each.exposure_count, each.conversion_count) for each in experiment.variants] == [
        ("cosine", 2, 1),
        ("frequent", 3, 2),
    ]
    assert [each.conversion_rate for each in experiment.variants] == [0.5, pytest.approx(2 / 3)]
    request = QueryMetricsRequest(
        metric=Metric.EXPOSURES, interval=Interval.DAY, group_by=Dimension.VARIANT, experiment=name
    )
    series = (await client.query_metrics(request)).series
    assert [(each.group, each.total and each.total.count) for each in series] == [("frequent", 3), ("cosine", 2)]
    page = await client.list_audit_entries(ListAuditEntriesRequest(actor="users/0"))
    assert [entry.type for entry in page.audit_entries] == ["VariantConverted", "VariantExposed"]
    with pytest.raises(NotFound):
        await client.get_experiment(GetExperimentRequest(name="experiments/two"))


async def test_each_variant_of_a_result_has_both_counts(
    client: AnalyticsServiceClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names that others make up take no count from a variant: those with the most exposures are read."""
    monkeypatch.setattr(metric_storage, "VARIANTS_MAX", 3)
    sent = [("real-a", 4, 1), ("real-b", 3, 2), ("seen", 1, 0), ("x", 0, 5), ("y", 0, 5), ("z", 0, 5)]
    types = [Event.Type.EXPOSURE, Event.Type.CONVERSION]
    for variant, *counts in sent:
        for kind, count in zip(types, counts, strict=True):
            if count:
                await ingest(client, [event(type=kind, experiment="e", variant=variant) for _ in range(count)])
    experiment = await client.get_experiment(GetExperimentRequest(name="experiments/e"))
    assert [(each.variant, each.exposure_count, each.conversion_count) for each in experiment.variants] == sent[:3]


async def test_a_wrong_query_names_every_violation(client: AnalyticsServiceClient) -> None:
    """The limit of the period is named, and so is the dimension that the metric lacks."""
    now = datetime.now(UTC)
    request = QueryMetricsRequest(
        metric=Metric.ORDERS_PLACED,
        interval=Interval.MINUTE,
        start_time=Timestamp.from_datetime(now - timedelta(days=2)),
        group_by=Dimension.PAGE,
    )
    with pytest.raises(InvalidArgument, match="1440") as caught:
        await client.query_metrics(request)
    assert {violation.field for violation in caught.value.violations} >= {"start_time", "group_by"}


async def test_a_stream_of_sales_resumes(
    client: AnalyticsServiceClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream begins with the next sale, and continues after its token."""
    first, second, list_steps, begun = order(), order(), sale_storage.list_steps, asyncio.Event()

    async def list_sales(*arguments: Any) -> Any:
        begun.set()  # the stream knows the last sale before it
        return await list_steps(*arguments)

    monkeypatch.setattr(sale_storage, "list_steps", list_sales)
    await place(database, first)
    async with client.watch_sales(WatchSalesRequest()) as responses:
        reading = asyncio.ensure_future(anext(responses))
        await begun.wait()
        await place(database, second)
        response = await reading
    assert response.sale is not None
    assert (response.sale.order, response.sale.metric) == (second.name, Metric.ORDERS_PLACED)
    third = order()
    await place(database, third)
    async with client.watch_sales(WatchSalesRequest(resume_token=response.resume_token)) as responses:
        resumed = await anext(responses)
    assert resumed.sale is not None
    assert resumed.sale.order == third.name


async def test_the_log_is_searched_and_forgets_users(client: AnalyticsServiceClient, database: Database) -> None:
    """Entries are found by aggregate, type and actor; after a deletion none names the user, later ones neither."""
    placed = order()
    await place(database, placed)
    await place(database, order("users/bob"))
    for request in (
        ListAuditEntriesRequest(aggregate=placed.name),
        ListAuditEntriesRequest(actor="users/ada", type="OrderPlaced"),
    ):
        [entry] = (await client.list_audit_entries(request)).audit_entries
        assert (entry.aggregate, entry.actor, entry.type) == (placed.name, "users/ada", "OrderPlaced")
    await deliver(database, user_deleted, UserDeleted(user="users/ada"), "users/ada")
    await deliver(database, order_cancelled, OrderCancelled(order=placed), placed.name)
    assert (await client.list_audit_entries(ListAuditEntriesRequest(actor="users/ada"))).audit_entries == []
    page = await client.list_audit_entries(ListAuditEntriesRequest(page_size=3))
    assert [entry.actor for entry in page.audit_entries] == ["users/-", "users/-", "users/bob"]
    assert page.audit_entries[1].aggregate == "users/-"
    rest = await client.list_audit_entries(ListAuditEntriesRequest(page_size=3, page_token=page.next_page_token))
    assert [(entry.aggregate, entry.actor) for entry in rest.audit_entries] == [(placed.name, "users/-")]


async def test_entries_of_deleted_users_are_found_together(client: AnalyticsServiceClient, database: Database) -> None:
    """Their common name finds those of all of them, as actors and as aggregates. The number of one finds nothing."""
    for customer in ("users/ada", "users/bob", "users/eve"):
        await place(database, order(customer))
    for user in ("users/ada", "users/bob"):
        await deliver(database, user_deleted, UserDeleted(user=user), user)

    async def found(**search: Any) -> list[str]:
        entries = (await client.list_audit_entries(ListAuditEntriesRequest(**search))).audit_entries
        return [entry.type for entry in entries]

    deleted, ever = ["UserDeleted"] * 2, Timestamp()
    assert await found(actor="users/-", start_time=ever) == [*deleted, "OrderPlaced", "OrderPlaced"]
    assert await found(aggregate="users/-", start_time=ever) == deleted
    for field in ("actor", "aggregate"):
        with pytest.raises(InvalidArgument) as caught:
            await found(**{field: "users/-"})
        assert [each.field for each in caught.value.violations] == ["start_time"]
    assert await found(actor="users/eve") == ["OrderPlaced"]
    for number in range(1, 4):
        assert await found(actor=f"users/~{number}") == []
        assert await found(aggregate=f"users/~{number}") == []


@pytest.mark.parametrize("change", ["UPDATE audit_entries SET type = ''", "DELETE FROM audit_entries"])
async def test_the_log_is_append_only(database: Database, change: str) -> None:
    """The database itself refuses to change what was logged."""
    await place(database, order())
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        async with database.transaction() as tx:
            await tx.execute(change)
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        async with database.transaction() as tx:
            await tx.execute("TRUNCATE audit_entries")


async def test_metrics_are_for_staff(database: Database) -> None:
    """A customer's token is refused."""
    issuer = Issuer()
    service = AnalyticsHandlers(database, Ingestion(database, EVENTS_OF_DAY))
    with acting_with(issuer.token("users/ada", "profile")):
        async with serving(issuer, service) as port, channel_to(port, "analytics") as channel:
            client = AnalyticsServiceClient(channel)
            with pytest.raises(PermissionDenied):
                await client.query_metrics(QueryMetricsRequest(metric=Metric.PAGE_VIEWS, interval=Interval.DAY))
