"""The ingestion of events from many clients at the same time."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import uuid4

import pytest
from meshwright.analytics.v1.analytics_grpc import AnalyticsServiceClient
from meshwright.analytics.v1.analytics_pb import (
    Event,
    IngestEventsRequest,
    IngestEventsResponse,
    ListAuditEntriesRequest,
)
from protobuf.wkt import Timestamp

from mesh.background import stop
from mesh.database import Connection, Database
from mesh.errors import ResourceExhausted
from mesh.identity import Caller
from mesh.rpc import CLIENT_ADDRESS, Call, current_call
from services.analytics import event_storage, handlers, ingestion, past_days
from services.analytics.client_events import ClientEvent
from services.analytics.domain import Metric
from services.analytics.handlers import AnalyticsHandlers
from services.analytics.ingestion import BATCHES_MAX, CALLS_OF_SOURCE_MAX, WRITERS_MAX, Ingestion
from services.analytics.metric_storage import lock_rollups
from tests.issuer import Issuer
from tests.services.calls import channel_to, serving

IDLE_CALLS = 40
EVENTS_OF_DAY = 1000


@pytest.fixture
def issuer() -> Issuer:
    """The issuer of tokens."""
    return Issuer()


@pytest.fixture
async def client(database: Database, issuer: Issuer) -> AsyncIterator[AnalyticsServiceClient]:
    """A client of the service."""
    service = AnalyticsHandlers(database, Ingestion(database, EVENTS_OF_DAY))
    async with serving(issuer, service) as port, channel_to(port, "analytics") as channel:
        yield AnalyticsServiceClient(channel)


def stored_view() -> ClientEvent:
    """Returns a view of a page."""
    return ClientEvent(str(uuid4()), Metric.PAGE_VIEWS.value, datetime.now(UTC), None, None, "/", None, None)


@contextlib.contextmanager
def calling(token: str = "", address: str = "192.0.2.7") -> Iterator[None]:
    """Makes calls in this block come from this user, or from this address without a token."""
    reset = current_call.set(Call("/test", Caller(token=token), metadata={CLIENT_ADDRESS: address}))
    try:
        yield
    finally:
        current_call.reset(reset)


def view() -> IngestEventsRequest:
    """Returns a message with one event."""
    now = Timestamp.from_datetime(datetime.now(UTC))
    return IngestEventsRequest(
        events=[Event(event_id=str(uuid4()), type=Event.Type.PAGE_VIEW, event_time=now, page="/")]
    )


async def views(count: int, end: asyncio.Event | None = None) -> AsyncIterator[IngestEventsRequest]:
    """Yields messages, then keeps the stream open until the end."""
    for _ in range(count):
        yield view()
    if end is not None:
        await end.wait()


async def test_idle_calls_of_one_client_keep_nobody_out(client: AnalyticsServiceClient, issuer: Issuer) -> None:
    """A client has a limited number of calls, whichever addresses of its network they come from."""
    end = asyncio.Event()
    tasks: list[asyncio.Task[IngestEventsResponse]] = []
    for number in range(IDLE_CALLS):
        with calling(address=f"2001:db8::{number:x}"):
            tasks.append(asyncio.create_task(client.ingest_events(views(1, end))))
    try:
        async with asyncio.timeout(30):
            while sum(task.done() for task in tasks) < IDLE_CALLS - CALLS_OF_SOURCE_MAX:
                await asyncio.sleep(0.01)
        for token, address in ((issuer.token("users/ada"), "2001:db8::1"), ("", "192.0.2.7")):
            with calling(token, address):
                assert (await client.ingest_events(views(2))).accepted_count == 2
        end.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        await stop(tasks)
    refused = [each for each in outcomes if isinstance(each, ResourceExhausted)]
    assert {each.reason for each in refused} == {"INGESTION_BUSY"}
    accepted = [each.accepted_count for each in outcomes if isinstance(each, IngestEventsResponse)]
    assert accepted == [1] * CALLS_OF_SOURCE_MAX
    with calling(address="2001:db8::1"):
        assert (await client.ingest_events(views(1))).accepted_count == 1


async def test_a_silent_call_ends(client: AnalyticsServiceClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error tells why, and that the call can be repeated."""
    monkeypatch.setattr(handlers, "SILENCE_S", 0.1)
    with calling(), pytest.raises(ResourceExhausted, match=r"0\.1 s") as caught:
        await client.ingest_events(views(1, asyncio.Event()))
    assert caught.value.reason == "STREAM_SILENT"
    assert caught.value.retry_after_s is not None


async def test_a_slow_call_makes_room_for_others(
    client: AnalyticsServiceClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its batch is written before it is full, and keeps no place from then on."""
    monkeypatch.setattr(ingestion, "BATCH_AGE_S", 0.0)
    monkeypatch.setattr(ingestion, "BATCHES_MAX", 1)
    end = asyncio.Event()
    service = AnalyticsHandlers(database, Ingestion(database, EVENTS_OF_DAY))
    async with serving(Issuer(), service) as port, channel_to(port, "analytics") as channel:
        crowded = AnalyticsServiceClient(channel)
        with calling():
            slow = asyncio.create_task(crowded.ingest_events(views(1, end)))
        with calling(address="192.0.2.8"):
            assert (await crowded.ingest_events(views(3))).accepted_count == 3
        assert not slow.done()
        end.set()
        assert (await slow).accepted_count == 1


async def test_silent_calls_make_room_for_others(database: Database) -> None:
    """Their batches are written while they send nothing, so that a few clients can't keep all places."""
    service, ended = Ingestion(database, EVENTS_OF_DAY), asyncio.Event()
    begun = asyncio.Barrier(BATCHES_MAX + 1)

    async def report_silently(source: str) -> int:
        async with service.call(source) as batches:
            await batches.add([stored_view()])
            await begun.wait()
            await ended.wait()
            await batches.finish()
        return batches.accepted

    silent = [asyncio.create_task(report_silently(str(number))) for number in range(BATCHES_MAX)]
    try:
        await begun.wait()
        async with service.call("ada") as other:
            await other.add([stored_view()])
            await other.finish()
        assert other.accepted == 1
        ended.set()
        assert await asyncio.gather(*silent) == [1] * BATCHES_MAX
    finally:
        await stop(silent)


async def test_a_batch_that_failed_fails_its_call(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """At its next message, also if it was written while the call was silent, and without a place that it keeps."""
    monkeypatch.setattr(ingestion, "BATCH_AGE_S", 0.0)
    monkeypatch.setattr(ingestion, "BATCHES_MAX", 1)
    service = Ingestion(database, 1)
    async with service.call("ada") as failed, service.call("bob") as other:
        for _ in range(2):
            await failed.add([stored_view()._replace(person=7)])
            await other.add([stored_view()])
        await other.finish()
        for events in ([stored_view()._replace(person=7)], []):
            with pytest.raises(ResourceExhausted, match="1 events"):
                await failed.add(events)
        await other.add([stored_view()])
        await other.finish()
        with pytest.raises(ResourceExhausted, match="1 events"):
            await failed.finish()
    assert (failed.accepted, other.accepted) == (1, 3)


async def test_rejected_events_make_room_for_others(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message without a valid event is a reason to write those before it, too."""
    monkeypatch.setattr(ingestion, "BATCHES_MAX", 1)
    service = Ingestion(database, EVENTS_OF_DAY)
    async with service.call("ada") as slow, service.call("bob") as other:
        await slow.add([stored_view()])
        monkeypatch.setattr(ingestion, "BATCH_AGE_S", 0.0)
        await slow.add([])
        await other.add([stored_view()])
        await asyncio.gather(slow.finish(), other.finish())
    assert (slow.accepted, other.accepted) == (1, 1)


async def test_a_call_without_room_is_refused(
    database: Database, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for a limited time, and a call that is cut off makes room."""
    monkeypatch.setattr(ingestion, "BATCHES_MAX", 1)
    monkeypatch.setattr(ingestion, "BATCH_AGE_S", 1000.0)
    events, has_room = Ingestion(database, EVENTS_OF_DAY), asyncio.Event()

    async def keep_room() -> None:
        async with events.call("ada") as batches:
            await batches.add([stored_view()])
            has_room.set()
            await asyncio.Event().wait()

    async with serving(issuer, AnalyticsHandlers(database, events)) as port, channel_to(port, "analytics") as channel:
        client, open_call = AnalyticsServiceClient(channel), asyncio.create_task(keep_room())
        await has_room.wait()
        with calling(), monkeypatch.context() as hasty:
            hasty.setattr(ingestion, "ROOM_WAIT_S", 0.1)
            with pytest.raises(ResourceExhausted) as caught:
                await client.ingest_events(views(1))
        assert caught.value.reason == "INGESTION_BUSY"
        await stop([open_call])
        with calling():
            assert (await client.ingest_events(views(1))).accepted_count == 1


async def test_calls_that_wait_for_the_roll_ups_succeed(
    client: AnalyticsServiceClient, database: Database, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They leave connections to other calls, and a batch that has waited for too long is written again."""
    tries = Counter[str]()

    async def insert(tx: Connection, events: Sequence[ClientEvent]) -> int:
        tries[events[0].event_id] += 1
        await tx.execute("SET LOCAL lock_timeout = '0.1s'")
        return await event_storage.insert(tx, events)

    monkeypatch.setattr(ingestion, "event_storage", SimpleNamespace(insert=insert))
    async with database.transaction() as tx:
        await lock_rollups(tx)
        with calling():
            tasks = [asyncio.create_task(client.ingest_events(views(3))) for _ in range(CALLS_OF_SOURCE_MAX)]
        async with asyncio.timeout(30):
            while not tries or max(tries.values()) < 3:
                await asyncio.sleep(0.01)
        with calling(issuer.token("users/staff", "analytics.read")):
            assert (await client.list_audit_entries(ListAuditEntriesRequest())).audit_entries == []
    assert sum(each.accepted_count for each in await asyncio.gather(*tasks)) == 3 * CALLS_OF_SOURCE_MAX


async def test_batches_are_written_in_turn(client: AnalyticsServiceClient, database: Database, issuer: Issuer) -> None:
    """While the roll-ups are kept, no more transactions wait for them than get a turn."""
    async with database.transaction() as tx:
        await lock_rollups(tx)
        with calling():
            tasks = [asyncio.create_task(client.ingest_events(views(1))) for _ in range(CALLS_OF_SOURCE_MAX)]
        waiting = 0
        async with asyncio.timeout(30):
            while waiting < WRITERS_MAX:
                await asyncio.sleep(0.1)
                query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
                waiting = await tx.fetchval(f"{query} AND objid = 'rollups'::regclass")
        assert waiting == WRITERS_MAX
        with calling(issuer.token("users/staff", "analytics.read")):
            await asyncio.gather(*(client.list_audit_entries(ListAuditEntriesRequest()) for _ in range(20)))
    assert [each.accepted_count for each in await asyncio.gather(*tasks)] == [1] * CALLS_OF_SOURCE_MAX


async def test_a_user_has_a_quota_of_events(database: Database, issuer: Issuer) -> None:
    """New events of a day count, of each user apart. What is sent again does not, nor do events without a token."""
    known = [view(), view()]

    async def again() -> AsyncIterator[IngestEventsRequest]:
        for message in known:
            yield message

    service = AnalyticsHandlers(database, Ingestion(database, 3))
    async with serving(issuer, service) as port, channel_to(port, "analytics") as channel:
        client = AnalyticsServiceClient(channel)
        with calling(issuer.token("users/ada")):
            assert (await client.ingest_events(again())).accepted_count == 2
            assert (await client.ingest_events(again())).duplicate_count == 2
            assert (await client.ingest_events(views(1))).accepted_count == 1
            with pytest.raises(ResourceExhausted, match="3 events") as caught:
                await client.ingest_events(views(1))
            assert caught.value.reason == "EVENT_QUOTA_EXHAUSTED"
            assert caught.value.retry_after_s is not None
        with calling(issuer.token("users/bob")):
            assert (await client.ingest_events(views(3))).accepted_count == 3
        with calling():
            assert (await client.ingest_events(views(5))).accepted_count == 5
        async with database.transaction() as tx:
            await tx.execute("UPDATE reported_events SET day = day - 1")
            assert await past_days.purge(tx, "reported_events") == 2
        with calling(issuer.token("users/ada")):
            assert (await client.ingest_events(views(3))).accepted_count == 3
