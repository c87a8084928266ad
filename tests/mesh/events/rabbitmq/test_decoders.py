"""Messages whose properties the client library can't decode."""

from datetime import UTC, datetime
from typing import Any

import aio_pika
import pytest

from mesh.database import Database
from mesh.events import Broker, Relay
from mesh.events.rabbitmq.decoders import DECODERS
from tests.mesh.events.brokers import BrokerServer
from tests.mesh.events.test_inbox import TYPE, Eventually, PublishNotes, inbox, notes
from tests.mesh.messages import Note

ATTRIBUTES = {"cloudEvents_specversion": "1.0", "cloudEvents_type": TYPE, "cloudEvents_source": "test"}


class Garbage(str):
    """A text that is sent as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: object, **__: object) -> bytes:
        """Returns the bytes, as many as the text has characters."""
        return b"\xff" * len(self)


async def _publish(server: BrokerServer, text: str, routing_key: str = "", **properties: Any) -> None:
    """Publishes a note of "test" with these properties."""
    message = aio_pika.Message(Note(text=text).to_binary(), **({"headers": dict(ATTRIBUTES)} | properties))
    for name, value in properties.items():
        setattr(message, name, value)  # the constructor copies texts
    async with await aio_pika.connect(server.url) as connection, connection.channel() as channel:
        exchange = await channel.get_exchange(TYPE, ensure=False)
        await exchange.publish(message, routing_key=routing_key, mandatory=False)


@pytest.mark.parametrize("adapter", ["rabbitmq"], indirect=True)
async def test_what_a_publisher_chooses_stops_no_consumer(
    database: Database,
    broker: Broker,
    server: BrokerServer,
    publish_notes: PublishNotes,
    eventually: Eventually,
) -> None:
    """Each message is handled or, without readable headers, rejected; so is every event behind it."""
    await _publish(server, "header", headers=ATTRIBUTES | {Garbage("name"): "value"})
    await _publish(server, "routing key", routing_key=Garbage("key"))
    await _publish(server, "content type", content_type=Garbage("type"))
    await _publish(server, "id", message_id=Garbage("id"))
    await _publish(server, "zero", message_id="a\0b")
    await publish_notes("notes/1", "after")

    async def handled() -> bool:
        return ("notes/1", "after") in await notes(database)

    async with Relay(database, broker), inbox(database, broker, workers=1):  # so that they are handled in order
        await eventually(handled)
    assert [text for _, text in await notes(database)] == ["routing key", "content type", "id", "zero", "after"]

    async def rejected() -> bool:
        return await server.rejected() == [Note(text="header").to_binary()]

    await eventually(rejected)


def test_what_is_readable_is_read() -> None:
    """The decoders return the number of bytes, and the value or what replaces it."""
    short_text, table, time = (DECODERS[name] for name in ("shortstr", "table", "timestamp"))
    assert short_text("\x03a\xe9b".encode()) == (4, "aé")
    assert short_text(b"\x02\xffab") == (3, "\N{REPLACEMENT CHARACTER}a")
    assert table(b"\x00\x00\x00\x09\x01aS\x00\x00\x00\x02xy?") == (13, {"a": "xy"})
    assert table(b"\x00\x00\x00\x03\x01\xffV?") == (7, {})
    assert time((0).to_bytes(8) + b"?") == (8, datetime(1970, 1, 1, tzinfo=UTC))
    assert time((2**63).to_bytes(8)) == (8, None)


def test_tables_of_any_depth_are_read() -> None:
    """Arrays in arrays may be deeper than the decoder of the library can follow."""
    nested = b""
    for _ in range(20_000):
        nested = b"A" + len(nested).to_bytes(4) + nested
    content = b"\x01a" + nested
    assert DECODERS["table"](len(content).to_bytes(4) + content) == (4 + len(content), {})
