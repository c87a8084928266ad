"""The methods of AnalyticsService."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Final

from googleapis.google.type.money_pb import Money as MoneyMessage
from meshwright.analytics.v1.analytics_grpc import AnalyticsServiceBase
from meshwright.analytics.v1.analytics_pb import (
    AuditEntry,
    GetExperimentRequest,
    IngestEventsRequest,
    IngestEventsResponse,
    ListAuditEntriesRequest,
    ListAuditEntriesResponse,
    QueryMetricsRequest,
    QueryMetricsResponse,
    Rejection,
    WatchSalesRequest,
    WatchSalesResponse,
)
from meshwright.analytics.v1.analytics_pb import Dimension as DimensionMessage
from meshwright.analytics.v1.analytics_pb import Event as EventMessage
from meshwright.analytics.v1.analytics_pb import Experiment as ExperimentMessage
from meshwright.analytics.v1.analytics_pb import Interval as IntervalMessage
from meshwright.analytics.v1.analytics_pb import Measure as MeasureMessage
from meshwright.analytics.v1.analytics_pb import Measures as MeasuresMessage
from meshwright.analytics.v1.analytics_pb import Metric as MetricMessage
from meshwright.analytics.v1.analytics_pb import Point as PointMessage
from meshwright.analytics.v1.analytics_pb import Sale as SaleMessage
from meshwright.analytics.v1.analytics_pb import Series as SeriesMessage
from protobuf.wkt import Timestamp

from mesh.client_network import client_network
from mesh.database import Database
from mesh.errors import FieldViolation, InvalidArgument, ResourceExhausted, invalid_fields
from mesh.money import Money
from mesh.money_message import money_message
from mesh.pagination import read_page
from mesh.resume import read_resume_token
from mesh.rpc import Call
from mesh.silence import until_silent
from mesh.timestamp_message import time_of
from services.analytics import audit_storage, metric_storage, people_storage, sale_storage
from services.analytics.audit_storage import ERASED_USER, Recorded, Search
from services.analytics.client_events import REASONS, ClientEvent, Rejections, problem_of
from services.analytics.domain import (
    TOP_DEFAULT,
    Dimension,
    Interval,
    Measure,
    Measures,
    Metric,
    Period,
    Point,
    Query,
    SaleStep,
    Series,
    checked_series,
)
from services.analytics.experiment import EXPERIMENT_PREFIX, VariantResult, results
from services.analytics.ingestion import Ingestion

WATCH_EVERY_S: Final = 1.0
USER_PREFIX: Final = "users/"

EVENTS_MAX: Final = 100_000
EVENTS_OF_ANONYMOUS_MAX: Final = 100
"""The most events of one call. The contract limits the number of calls."""

SILENCE_S: Final = 10.0

_TYPES: Final = {
    int(EventMessage.Type.PAGE_VIEW): Metric.PAGE_VIEWS.value,
    int(EventMessage.Type.PRODUCT_VIEW): Metric.PRODUCT_VIEWS.value,
    int(EventMessage.Type.CART_ADDITION): Metric.CART_ADDITIONS.value,
    int(EventMessage.Type.EXPOSURE): Metric.EXPOSURES.value,
    int(EventMessage.Type.CONVERSION): Metric.CONVERSIONS.value,
}


class AnalyticsHandlers(AnalyticsServiceBase):
    """The handlers of AnalyticsService."""

    def __init__(self, database: Database, ingestion: Ingestion, *, watch_every_s: float = WATCH_EVERY_S) -> None:
        self._database = database
        self._ingestion = ingestion
        self._watch_every_s = watch_every_s

    async def ingest_events(self, request: AsyncIterator[IngestEventsRequest], call: Call) -> IngestEventsResponse:
        """Records the valid events, and counts the others by the reason."""
        person = await self._person(call)
        events_max = EVENTS_MAX if call.caller.subject else EVENTS_OF_ANONYMOUS_MAX
        rejections, received, valid = Rejections(), 0, 0
        async with self._ingestion.call(call.caller.subject or client_network(call.client_address)) as batches:
            async for message in until_silent(request, SILENCE_S):
                if received + len(message.events) > events_max:
                    raise _too_many(events_max)
                events = _valid(message.events, person, received, rejections)
                received += len(message.events)
                valid += len(events)
                await batches.add(events)
            await batches.finish()
        return IngestEventsResponse(
            accepted_count=batches.accepted,
            duplicate_count=valid - batches.accepted,
            rejected_count=rejections.count,
            rejections=[
                Rejection(reason=reason, description=REASONS[reason], count=each.count, first_index=each.first_index)
                for reason, each in rejections
            ],
        )

    async def _person(self, call: Call) -> int | None:
        if not call.caller.subject.startswith(USER_PREFIX):
            return None
        async with self._database.transaction() as tx:
            return await people_storage.person_of(tx, call.caller.subject)

    async def query_metrics(self, request: QueryMetricsRequest, call: Call) -> QueryMetricsResponse:
        """Returns the series of a metric."""
        query = _query(request, datetime.now(UTC)).checked()
        async with self._database.autocommit() as connection:
            series = checked_series(await metric_storage.find_series(connection, query))
        return QueryMetricsResponse(
            series=[_series_message(each) for each in series],
            start_time=Timestamp.from_datetime(query.period.start),
            end_time=Timestamp.from_datetime(query.period.end),
        )

    async def get_experiment(self, request: GetExperimentRequest, call: Call) -> ExperimentMessage:
        """Returns what was counted for each variant, in all the time that roll-ups are kept."""
        experiment = request.name.removeprefix(EXPERIMENT_PREFIX)
        async with self._database.autocommit() as connection:
            counts = await metric_storage.count_variants(connection, experiment)
        return ExperimentMessage(name=request.name, variants=[_variant_message(each) for each in results(counts)])

    async def watch_sales(self, request: WatchSalesRequest, call: Call) -> AsyncIterator[WatchSalesResponse]:
        """Reads the steps after the last one that was sent, again and again: any process can continue a stream."""
        resume = read_resume_token(request.resume_token, query=("sales",), key_types=sale_storage.KEY_TYPES)
        async with self._database.autocommit() as connection:
            after = resume.after or (await sale_storage.last_sequence(connection),)
        while True:
            async with self._database.autocommit() as connection:
                steps = await sale_storage.list_steps(connection, after)
            for position, step in steps:
                after = (position,)
                yield WatchSalesResponse(sale=_sale_message(step), resume_token=resume.token(position))
            if not steps:
                await asyncio.sleep(self._watch_every_s)

    async def list_audit_entries(self, request: ListAuditEntriesRequest, call: Call) -> ListAuditEntriesResponse:
        """Returns a page of the log."""
        search = _search(request)
        page = read_page(
            request.page_size, request.page_token, query=search.fingerprint, key_types=audit_storage.KEY_TYPES
        )
        async with self._database.autocommit() as connection:
            found, next_page_token = await audit_storage.list_entries(connection, search, page)
        return ListAuditEntriesResponse(
            audit_entries=[_entry_message(each) for each in found], next_page_token=next_page_token
        )


def _too_many(events_max: int) -> ResourceExhausted:
    return ResourceExhausted(
        f"A call may hold {events_max} events at most. Send the others in another call.", reason="EVENTS_TOO_MANY"
    )


def _valid(
    messages: Sequence[EventMessage], person: int | None, offset: int, rejections: Rejections
) -> list[ClientEvent]:
    """Returns the valid events of a message, and counts the others. `offset` is the position of the first one."""
    now, valid = datetime.now(UTC), []
    for index, message in enumerate(messages, offset):
        event = _client_event(message, person)
        if isinstance(event, str):
            rejections.add(event, index)
        elif problem := problem_of(event, now):
            rejections.add(problem, index)
        else:
            valid.append(event)
    return valid


def _client_event(message: EventMessage, person: int | None) -> ClientEvent | str:
    """Returns the event of a message, or the reason why there is none."""
    if (metric := _TYPES.get(message.type)) is None:
        return "EVENT_TYPE_MISSING"
    if message.event_time is None:
        return "EVENT_TIME_MISSING"
    try:
        time = time_of(message.event_time, "event_time")
    except InvalidArgument:
        return "EVENT_TIME_OUT_OF_RANGE"
    return ClientEvent(
        message.event_id,
        metric,
        time,
        person,
        message.product or None,
        message.page or None,
        message.experiment or None,
        message.variant or None,
    )


def _query(request: QueryMetricsRequest, now: datetime) -> Query:
    return Query(
        Metric(MetricMessage(request.metric).name.lower()),
        Period.covering(
            Interval(IntervalMessage(request.interval).name.lower()),
            *_period(request.start_time, request.end_time),
            now,
        ),
        _DIMENSIONS[request.group_by],
        tuple(request.groups),
        request.experiment,
        _MEASURES[request.order_by],
        request.top or TOP_DEFAULT,
        request.currency_code,
    )


_DIMENSIONS: Final = {
    DimensionMessage.UNSPECIFIED: Dimension.TOTAL,
    DimensionMessage.PRODUCT: Dimension.PRODUCT,
    DimensionMessage.PAGE: Dimension.PAGE,
    DimensionMessage.VARIANT: Dimension.VARIANT,
}
_MEASURES: Final = {
    MeasureMessage.UNSPECIFIED: Measure.COUNT,
    MeasureMessage.COUNT: Measure.COUNT,
    MeasureMessage.UNITS: Measure.UNITS,
    MeasureMessage.AMOUNT: Measure.AMOUNT,
}


def _search(request: ListAuditEntriesRequest) -> Search:
    """Returns the search of a request. Raises InvalidArgument for all entries of deleted users of all times: no index
    finds them.
    """
    if ERASED_USER in (request.aggregate, request.actor) and request.start_time is None:
        why = f"is required to find the entries of {ERASED_USER}"
        raise invalid_fields([FieldViolation("start_time", why, "PERIOD_INVALID")])
    return Search(request.aggregate, request.type, request.actor, *_period(request.start_time, request.end_time))


def _period(start: Timestamp | None, end: Timestamp | None) -> tuple[datetime | None, datetime | None]:
    return (
        None if start is None else time_of(start, "start_time"),
        None if end is None else time_of(end, "end_time"),
    )


def _series_message(series: Series) -> SeriesMessage:
    return SeriesMessage(
        group=series.group,
        total=_measures_message(series.total, series.currency),
        points=[_point_message(point, series.currency) for point in series.points],
    )


def _point_message(point: Point, currency: str) -> PointMessage:
    return PointMessage(
        start_time=Timestamp.from_datetime(point.start), measures=_measures_message(point.measures, currency)
    )


def _measures_message(measures: Measures, currency: str) -> MeasuresMessage:
    return MeasuresMessage(
        count=measures.count, units=measures.units, amount=_amount_message(Money(currency, measures.hundredths))
    )


def _amount_message(amount: Money) -> MoneyMessage | None:
    return money_message(amount) if amount.currency else None


def _variant_message(result: VariantResult) -> ExperimentMessage.Variant:
    low, high = result.rate_interval
    return ExperimentMessage.Variant(
        variant=result.variant,
        exposure_count=result.exposures,
        conversion_count=result.conversions,
        conversion_rate=result.rate,
        conversion_rate_low=low,
        conversion_rate_high=high,
    )


def _sale_message(step: SaleStep) -> SaleMessage:
    return SaleMessage(
        metric=MetricMessage[step.metric.name],
        order=step.order,
        units=step.units,
        amount=money_message(step.amount),
        event_time=Timestamp.from_datetime(step.time),
    )


def _entry_message(recorded: Recorded) -> AuditEntry:
    entry = recorded.entry
    return AuditEntry(
        name=f"auditEntries/{recorded.sequence}",
        source=entry.source,
        event_id=entry.event_id,
        type=entry.type,
        aggregate=entry.aggregate,
        actor=entry.actor,
        description=entry.description,
        event_time=Timestamp.from_datetime(entry.event_time),
        record_time=Timestamp.from_datetime(recorded.record_time),
    )
