"""Messages whose headers the client library can't read."""

import asyncio
import json
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import pytest

from mesh.database import Database
from mesh.events import Broker, Relay
from tests.mesh.events.brokers import BrokerServer
from tests.mesh.events.test_inbox import TYPE, Eventually, PublishNotes, inbox, notes

UNREADABLE: Final = (b"N", b"NATS/1.0", b"NATS/1.0 \xff", b"NATS/1.0 200 \xff\xff\xff\xff\xff")


async def _publish(server: BrokerServer, blocks: Sequence[bytes]) -> None:
    """Publishes messages with these blocks of headers, as a publisher could without a client library."""
    url = urlsplit(server.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    options = {"verbose": False, "headers": True, "user": url.username, "pass": url.password}
    writer.write(f"CONNECT {json.dumps(options)}\r\n".encode())
    for block in blocks:
        writer.write(f"HPUB {TYPE} {len(block)} {len(block)}\r\n".encode() + block + b"\r\n")
    writer.write(b"PING\r\n")
    async with asyncio.timeout(30):
        await reader.readuntil(b"PONG")
    writer.close()


@pytest.mark.parametrize("adapter", ["nats"], indirect=True)
async def test_no_headers_stop_a_consumer(
    database: Database,
    broker: Broker,
    server: BrokerServer,
    publish_notes: PublishNotes,
    eventually: Eventually,
) -> None:
    """Messages with headers that can't be read are rejected, and the event behind them is handled."""
    await _publish(server, UNREADABLE)
    await publish_notes("notes/1", "after")

    async def handled() -> bool:
        return await notes(database) == [("notes/1", "after")]

    async with Relay(database, broker), inbox(database, broker):
        await eventually(handled)
    stored = await server.rejected()
    assert stored[:-1] == [b""] * len(UNREADABLE), "else NATS has not accepted them, and this test proves nothing"
