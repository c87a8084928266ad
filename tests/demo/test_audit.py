"""The audit: it finds each way in which the messages of chats can be wrong, and events that a consumer lacks. A store
that heals is not broken.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg
import pytest
from meshwright.orders.v1.events_pb import OrderPlaced
from meshwright.support.v1.events_pb import MessagePosted

import demo.audit
from demo.audit import audit
from demo.databases import Databases
from demo.finding import Finding
from demo.invariants.chats import check_chats
from demo.invariants.events import check_events
from local.declarations.checkout import read_services
from mesh.database import Database

FILL = """
    INSERT INTO conversations (uid, customer, subject, state, message_count, create_time, update_time, version)
    SELECT md5(n::text)::uuid, 'users/ada', 'Saw', 'open', 3 * n, now(), now(), 1 FROM generate_series(0, 2) AS n;
    INSERT INTO messages (conversation_uid, number, sender, from_staff, text, create_time, request_id)
    SELECT uid, number, 'users/ada', false, '', now() + number * interval '1 s', gen_random_uuid()
    FROM conversations, generate_series(1, message_count) AS number
"""
CHAT = "c4ca4238-a0b9-2382-0dcc-509a6f75849b"  # of the number 1, by md5
EVENT = """
    INSERT INTO mesh.outbox (event_id, type, source, aggregate, time, payload)
    VALUES (gen_random_uuid(), $1, 'support', 'conversations/1', now(), $2)
"""


@pytest.fixture
async def support(
    open_database: Callable[..., Awaitable[Database]], database_url: str
) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection to a database of support, with conversations of 0, 3 and 6 messages."""
    await open_database("support")
    connection = await asyncpg.connect(database_url)
    await connection.execute(FILL)
    return connection


async def test_right_chats_are_counted(support: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Correct chats are counted, and no finding is reported."""
    finding = await check_chats({"support": support})
    await support.close()
    assert (finding.broken, finding.figures) == ([], {"conversations": 3, "messages": 9})


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ("DELETE FROM messages WHERE conversation_uid = '{}' AND number = 2", "has 2 messages, numbers up to 3"),
        ("DELETE FROM messages WHERE conversation_uid = '{}' AND number = 3", "has 2 messages, numbers up to 2"),
        ("UPDATE conversations SET message_count = 2 WHERE uid = '{}'", "counts 2"),
        (
            "UPDATE messages SET create_time = now() - interval '1 s' WHERE conversation_uid = '{}' AND number = 2",
            "has a message that is older than the one before",
        ),
        (
            "DROP INDEX messages_by_request; UPDATE messages SET request_id = '{0}' WHERE conversation_uid = '{0}'",
            "has two messages of the request",
        ),
    ],
)
async def test_a_wrong_chat_is_found(support: "asyncpg.Connection[asyncpg.Record]", change: str, broken: str) -> None:
    """The finding names the conversation and its error."""
    await support.execute(change.format(CHAT))
    [found] = (await check_chats({"support": support})).broken
    await support.close()
    assert found.startswith(f"conversations/{CHAT} ")
    assert broken in found


async def test_a_message_that_is_announced_twice_is_found(support: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Its two events have different ids, so that no inbox takes them for one."""
    payload = MessagePosted(message="conversations/1/messages/1").to_binary()
    for _ in range(2):
        await support.execute(EVENT, MessagePosted.desc().type_name, payload)
    finding = await check_chats({"support": support})
    await support.close()
    assert finding.broken == ["conversations/1/messages/1 was announced 2 times"]


@pytest.mark.parametrize(("published", "broken"), [("1 s", False), ("-1 s", True)])
async def test_a_consumer_has_the_events_that_followed_its_subscription(
    open_database: Callable[..., Awaitable[Database]], database_url: str, published: str, broken: bool
) -> None:
    """Events from before a service consumed their type need not have reached it."""
    await open_database("orders")
    services = read_services(Path())
    connection = await asyncpg.connect(database_url)
    await connection.executemany(
        "INSERT INTO mesh.subscriptions VALUES ($1, now()) ON CONFLICT DO NOTHING",
        [(event,) for service in services for event in service.consumes],
    )
    await connection.execute(
        f"""
        INSERT INTO mesh.outbox (type, source, aggregate, time, payload, published_at)
        VALUES ($1, 'orders', 'orders/1', now() - interval '{published}', '', now())
        """,
        OrderPlaced.desc().type_name,
    )
    finding = await check_events({service.name: connection for service in services})
    await connection.close()
    assert (
        any("OrderPlaced of orders/1 by orders is not done at inventory" in each for each in finding.broken) is broken
    )
    assert (finding.broken != []) is broken


async def test_a_consumer_that_never_subscribed_is_found(
    open_database: Callable[..., Awaitable[Database]], database_url: str
) -> None:
    """A consumer that receives nothing has no events to miss."""
    await open_database("orders")
    connection = await asyncpg.connect(database_url)
    finding = await check_events({service.name: connection for service in read_services(Path())})
    await connection.close()
    assert f"inventory has never subscribed to {OrderPlaced.desc().type_name}" in finding.broken


async def test_what_heals_in_time_is_not_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that a broker still has are applied while the audit checks again."""
    findings = [Finding("Events are applied.", broken=["one is not"]), Finding("Events are applied.")]

    async def check(_: Databases) -> Finding:
        return findings.pop(0)

    monkeypatch.setattr(demo.audit, "CHECKS", [check])
    assert [finding.broken for finding in await audit({}, settle_s=60)] == [[], []]


async def test_what_stays_broken_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit ends when its time is over."""

    async def check(_: Databases) -> Finding:
        return Finding("Events are applied.", broken=["one is not"])

    monkeypatch.setattr(demo.audit, "CHECKS", [check])
    assert [finding.broken for finding in await audit({}, settle_s=0)] == [["one is not"], []]
