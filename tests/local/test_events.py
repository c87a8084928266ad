"""`make events`."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import nats
import pytest
from meshwright.orders.v1.events_pb import OrderPlaced
from meshwright.orders.v1.orders_pb import Order
from nats import errors as nats_errors
from nats.js.errors import NotFoundError
from nats.js.manager import JetStreamManager
from protobuf.wkt import FileDescriptorSet

from local.event_reader import EVENT_READER, EventReader
from local.nats import Nats
from mesh.contract.events import participants
from mesh.events.adapters import provision
from mesh.events.envelope import Envelope
from mesh.events.event_json import as_json
from mesh.events.nats.jetstream import JetStream
from mesh.events.nats.stream import STREAM
from mesh.events.nats.users import PROVISIONER, inbox_prefix, users
from tests.mesh.messages import NESTED

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes()).to_registry()
PLACED, DELETED = "meshwright.orders.v1.OrderPlaced", "meshwright.identity.v1.UserDeleted"


def event(number: int, event_type: str = PLACED, payload: bytes = b"") -> Envelope:
    """Returns an event of the service that owns the type."""
    return Envelope(f"e{number}", event_type, event_type.split(".")[1], "a/1", datetime.now(UTC), payload, None)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Nats]:
    """Returns a provisioned broker with the users of the local mesh."""
    async with Nats(tmp_path / "nats", (*users(participants(CONTRACTS)), EVENT_READER)) as server:
        await provision(server.url(PROVISIONER), participants(CONTRACTS))
        yield server


async def test_events_are_followed(server: Nats) -> None:
    """The last events come first, then each new one; events of other services are left out."""
    async with (
        JetStream(server.url("orders"), "orders") as orders,
        JetStream(server.url("identity"), "identity") as identity,
        EventReader(server.url(EVENT_READER.name)) as reader,
    ):
        for number in range(4):
            await orders.publish(event(number))
        await identity.publish(event(9, DELETED))
        async with contextlib.aclosing(
            reader.events(["acme.orders.v1.*", "meshwright.orders.v1.*"], past_max=2)
        ) as events:
            past = [(await anext(events)).id for _ in range(2)]
            waiting = asyncio.ensure_future(anext(events))
            await identity.publish(event(10, DELETED))
            await orders.publish(event(4))
            assert [*past, (await waiting).id] == ["e2", "e3", "e4"]


async def test_a_cancellation_ends_the_reader_beside_an_answer(server: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C works also where the client returns an answer instead, as wait_for() does before Python 3.12."""
    asked = asyncio.Event()

    async def answer_when_cancelled(*_: object, **__: object) -> None:
        asked.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        raise NotFoundError

    monkeypatch.setattr(JetStreamManager, "get_msg", answer_when_cancelled)
    async with EventReader(server.url(EVENT_READER.name)) as reader, asyncio.timeout(20):
        following = asyncio.ensure_future(anext(reader.events([PLACED], past_max=1)))
        await asked.wait()
        following.cancel()
        await asyncio.wait([following])
    assert following.cancelled()


@pytest.mark.parametrize(
    "subject",
    [
        PLACED,
        f"$JS.API.CONSUMER.CREATE.{STREAM}.x",
        f"$JS.API.STREAM.PURGE.{STREAM}",
        f"$JS.API.STREAM.DELETE.{STREAM}",
    ],
)
async def test_the_reader_can_change_nothing(server: Nats, subject: str) -> None:
    """The reader may neither publish nor change the stream or its consumers, and may subscribe only to its inbox."""
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def on_error(error: Exception) -> None:
        await refused.put(str(error).lower())

    prefix = inbox_prefix(EVENT_READER.name).encode()
    client = await nats.connect(server.url(EVENT_READER.name), inbox_prefix=prefix, error_cb=on_error)
    try:
        await client.publish(subject, b"{}")
        assert subject.lower() in await refused.get()
        await client.subscribe("meshwright.>")
        assert "subscription" in await refused.get()
        info = await client.jetstream().stream_info(STREAM)
        assert info.state.messages == 0
    finally:
        with contextlib.suppress(nats_errors.Error):
            await client.close()


def test_an_event_is_a_line_of_json() -> None:
    """The form is that of CloudEvents, with the payload as ProtoJSON, or as base64 if it can't be read."""
    types = CONTRACTS
    placed = OrderPlaced(order=Order(name="orders/1"))
    shown = as_json(event(1, payload=placed.to_binary()), types)
    assert (shown["type"], shown["source"], shown["data"]) == (PLACED, "orders", {"order": {"name": "orders/1"}})
    assert json.dumps(shown)
    for payload in (b"\xff", NESTED):
        corrupt = as_json(event(1, payload=payload), types)
        assert (base64.b64decode(corrupt["data_base64"]), "data" in corrupt) == (payload, False)
