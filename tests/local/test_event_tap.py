"""`make events` with RabbitMQ."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import pytest
from aiormq.exceptions import ChannelAccessRefused
from protobuf.wkt import FileDescriptorSet

from local.event_tap import EVENT_TAP, TAP_POLICY, EventTap
from local.rabbitmq import RabbitMQServer
from mesh.contract.events import participants
from mesh.events.adapters import provision
from mesh.events.envelope import Envelope
from mesh.events.rabbitmq.rabbitmq import RabbitMQ
from mesh.events.rabbitmq.users import PROVISIONER, users

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes()).to_registry()
PLACED, CONFIRMED = "meshwright.orders.v1.OrderPlaced", "meshwright.orders.v1.OrderConfirmed"


def event(number: int, event_type: str = PLACED) -> Envelope:
    """Returns an event of orders."""
    return Envelope(f"e{number}", event_type, "orders", "a/1", datetime.now(UTC), b"", None)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RabbitMQServer]:
    """Returns a provisioned broker with the users of the local mesh."""
    folder = tmp_path_factory.mktemp("rabbitmq")
    all_users = (*users(participants(CONTRACTS)), EVENT_TAP)
    async with RabbitMQServer(folder / "rabbitmq", all_users, policies=(TAP_POLICY,)) as server:
        await provision(server.url(PROVISIONER), participants(CONTRACTS))
        yield server


async def test_new_events_are_followed_and_still_reach_their_consumers(server: RabbitMQServer) -> None:
    """Events of the chosen types arrive as copies; the queue of a consumer gets them too."""
    async with (
        RabbitMQ(server.url("orders"), "orders") as orders,
        RabbitMQ(server.url("inventory"), "inventory") as inventory,
        EventTap(server.url(EVENT_TAP.name)) as tap,
        contextlib.aclosing(tap.events([PLACED])) as events,
    ):
        waiting = asyncio.ensure_future(anext(events))
        number = 0
        while not waiting.done():  # until the queue is bound
            number += 1
            await orders.publish(event(number, CONFIRMED))
            await orders.publish(event(number))
            await asyncio.sleep(0.05)
        first = await waiting
        await orders.publish(event(number + 1, CONFIRMED))
        await orders.publish(event(number + 1))
        followed = [first, await anext(events)]
        while followed[-1].id != f"e{number + 1}":
            followed.append(await anext(events))
        assert {each.type for each in followed} == {PLACED}

        subscription = await inventory.subscribe("inventory", [PLACED, CONFIRMED])
        consumed: list[str] = []
        while len(consumed) < 2 * (number + 1):
            consumed += [str(each.message_id) for each in await subscription.next()]
            await subscription.ack()
        assert consumed == [f"e{each}" for each in range(1, number + 2) for _ in range(2)]
        await subscription.close()


@pytest.mark.parametrize("exchange", [PLACED, f"routes:{PLACED}", f"inventory:{PLACED}", ""])
async def test_the_tap_may_publish_nothing(server: RabbitMQServer, exchange: str) -> None:
    """No exchange accepts a message of the tap, not even the default exchange."""
    async with await aio_pika.connect(server.url(EVENT_TAP.name)) as connection:
        channel = await connection.channel()
        target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
        with pytest.raises(ChannelAccessRefused):
            await target.publish(aio_pika.Message(b""), routing_key="inventory", timeout=5)


async def test_the_tap_may_take_no_event_from_a_consumer(server: RabbitMQServer) -> None:
    """The tap may not read a consumer's queue."""
    async with await aio_pika.connect(server.url(EVENT_TAP.name)) as connection:
        channel = await connection.channel()
        queue = await channel.get_queue("inventory", ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await queue.get(timeout=5)
