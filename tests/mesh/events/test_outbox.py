"""Publishing to the outbox."""

import asyncio

import pytest
from protobuf.wkt import StringValue

from mesh.database import Database
from mesh.events import outbox, publish, publish_all
from mesh.telemetry import tracing
from tests.mesh.messages import Note


async def _published(database: Database) -> list[tuple[str, str]]:
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT aggregate, payload FROM mesh.outbox ORDER BY id")
    return [(row["aggregate"], Note.from_binary(row["payload"]).text) for row in rows]


async def test_an_event_is_published_with_its_transaction_or_not_at_all(database: Database) -> None:
    """A transaction that fails publishes nothing."""

    async def fail() -> None:
        async with database.transaction() as tx:
            await publish(tx, Note(text="lost"), source="test", aggregate="a")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    async with database.transaction() as tx:
        await publish(tx, Note(text="told"), source="test", aggregate="a")
    assert await _published(database) == [("a", "told")]


async def test_transactions_of_one_aggregate_take_turns(database: Database) -> None:
    """The ids of one aggregate are in the order of commits: later publishers wait; those of other aggregates do not."""
    done: list[str] = []

    async def publish_note(aggregate: str, text: str) -> None:
        async with database.transaction() as tx:
            await publish(tx, Note(text=text), source="test", aggregate=aggregate)
        done.append(text)

    async with database.transaction() as tx:
        await publish(tx, Note(text="first"), source="test", aggregate="a")
        second = asyncio.create_task(publish_note("a", "second"))
        await asyncio.sleep(0.1)
        await publish_note("b", "other")
        assert done == ["other"]
    await second
    assert [text for aggregate, text in await _published(database) if aggregate == "a"] == ["first", "second"]


async def test_an_event_carries_the_trace(database: Database) -> None:
    """The event has the trace of the call that publishes it, as a W3C traceparent."""
    parent = f"00-{0xABC:032x}-{0xDEF:016x}-01"
    with tracing.span("a call", "SERVER", {"traceparent": parent}):
        async with database.transaction() as tx:
            await publish(tx, Note(), source="test", aggregate="a")
            traceparent = await tx.fetchval("SELECT traceparent FROM mesh.outbox")
    assert traceparent == parent


@pytest.mark.parametrize("aggregate", ["", "ä", "a\nce-id: forged", "a" * 257])
async def test_an_invalid_aggregate_is_rejected(database: Database, aggregate: str) -> None:
    """An aggregate that can't be a header is a bug of the service, reported at once."""
    async with database.transaction() as tx:
        with pytest.raises(ValueError, match="an aggregate has 1 to 256 printable ASCII characters"):
            await publish(tx, Note(), source="test", aggregate=aggregate)


async def test_an_event_that_the_broker_would_reject_is_rejected(database: Database) -> None:
    """An event that is foreign, another service's or too large is never added to the outbox."""
    async with database.transaction() as tx:
        with pytest.raises(ValueError, match=r"StringValue: 'test' may not publish it, only 'google' may"):
            await publish(tx, StringValue(), source="test", aggregate="a")
        with pytest.raises(ValueError, match=r"Note: 'orders' may not publish it, only 'test' may"):
            await publish(tx, Note(), source="orders", aggregate="a")
        with pytest.raises(ValueError, match="more than 262144"):
            await publish(tx, Note(text="x" * 300_000), source="test", aggregate="a")


async def test_many_events_are_published_in_their_order(database: Database) -> None:
    """Events that are published together have their aggregates, and ids in the order in which they were given."""
    async with database.transaction() as tx:
        await publish_all(tx, [("b", Note(text="1")), ("a", Note(text="2")), ("b", Note(text="3"))], source="test")
        rows = await tx.fetch("SELECT aggregate, payload FROM mesh.outbox ORDER BY id")
    assert [(row["aggregate"], Note.from_binary(row["payload"]).text) for row in rows] == [
        ("b", "1"),
        ("a", "2"),
        ("b", "3"),
    ]


async def test_rows_are_marked_by_the_statement_that_reads_the_next_ones(database: Database) -> None:
    """It returns none of those that it marks, and no more than the limit."""
    async with database.transaction() as tx:
        await publish_all(tx, [("a", Note(text=text)) for text in "abcd"], source="test")
        first, second, *others = [row.id for row in await outbox.read_unpublished(tx, 4)]
        assert [row.id for row in await outbox.mark_and_read(tx, [first, second], 1)] == others[:1]
        assert [row.id for row in await outbox.read_unpublished(tx, 4)] == others
