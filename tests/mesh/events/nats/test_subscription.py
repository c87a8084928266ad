"""The order of events whose deliveries are lost, on a real NATS."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from mesh.errors import Unavailable
from mesh.events import Broker
from mesh.events.broker import Subscription
from mesh.events.nats import subscription as adapter
from mesh.events.nats.stream import STREAM
from tests.mesh.events.brokers import NatsServer
from tests.mesh.events.test_broker import NOTE, event, publish, subscribe, take_all, text

ACK_WAIT_S = 1.5  # with that of the mesh, these tests would take long


class Holder:
    """A receiver of the subscription "test" that settles nothing by itself, as if it were cut off."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.context: JetStreamContext = client.jetstream()

    async def take(self, count: int) -> list[Msg]:
        """Waits for this many messages."""
        inbox = self._client.new_inbox()
        replies = await self._client.subscribe(inbox)
        request = {"batch": count, "expires": int(30e9)}
        await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.test", json.dumps(request).encode(), inbox)
        messages = [await replies.next_msg(30) for _ in range(count)]
        await replies.unsubscribe()
        return messages


@pytest.fixture(scope="module")
async def shared_server(server_folder: Path) -> AsyncIterator[NatsServer]:
    """Starts a server for this module."""
    server = NatsServer(server_folder / "subscription-nats")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def holder(shared_server: NatsServer) -> AsyncIterator[Holder]:
    """Empties the server, and connects a receiver that was there before the one under test."""
    await shared_server.empty({"test": [NOTE]})
    client = await nats.connect(shared_server.url)
    context = client.jetstream()
    config = (await context.consumer_info(STREAM, "test")).config
    await context.add_consumer(STREAM, config=replace(config, ack_wait=ACK_WAIT_S))
    yield Holder(client)
    await client.close()


@pytest.fixture
async def broker(shared_server: NatsServer, holder: Holder) -> AsyncIterator[Broker]:
    """Connects as the service "test"."""
    async with shared_server.connect() as broker:
        yield broker


@asynccontextmanager
async def lost_in_turn(broker: Broker, holder: Holder) -> AsyncIterator[Subscription]:
    """Has the deliveries of three events lost, those of the first one at other times than those of the others. So they
    are due again in another order than that of the stream. Yields a subscription.
    """
    await publish(broker, event("a"))
    await holder.take(1)
    await asyncio.sleep(0.1)  # so that the first one is due again alone
    await publish(broker, event("b"), event("c"))
    await holder.take(2)
    assert [message.metadata.sequence.stream for message in await holder.take(1)] == [1], "the first one, once more"
    subscription = await subscribe(broker)
    yield subscription
    await subscription.close()


@pytest.fixture(params=["right", "ahead"])
def clock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the clock of the receiver, by which it knows for how long nothing was delivered."""
    if request.param == "ahead":
        monkeypatch.setattr(adapter, "_age_s", lambda _: 3600.0)


@pytest.mark.usefixtures("clock")
async def test_events_lost_one_after_the_other_come_in_the_order_of_the_stream(broker: Broker, holder: Holder) -> None:
    """They come before later ones, and in order whichever of them is due again first."""
    async with lost_in_turn(broker, holder) as subscription:
        await publish(broker, event("d"))
        texts: list[str] = []
        async with asyncio.timeout(30):
            while len(texts) < 4:
                texts += map(text, await subscription.next())
                await subscription.ack()
        assert texts == list("abcd")
        assert (await holder.context.consumer_info(STREAM, "test")).num_ack_pending == 0


async def test_they_come_in_order_in_smaller_batches_too(broker: Broker, holder: Holder) -> None:
    """A batch may be smaller than what was lost; if it is requested again, it comes again before the rest."""
    async with lost_in_turn(broker, holder) as subscription:
        texts: list[str] = []
        async with asyncio.timeout(30):
            while not texts:
                texts += map(text, await subscription.next(2))
        assert texts == list("ab")
        await subscription.nak()
        assert await take_all(subscription, 3) == list("abc")


async def test_events_that_are_gone_are_not_waited_for(broker: Broker, holder: Holder) -> None:
    """While it waits, one is acknowledged by the receiver that has it, and another one deleted from the stream."""
    await publish(broker, *map(event, "abc"))
    messages = await holder.take(3)
    subscription = await subscribe(broker)
    assert not await subscription.next()
    await messages[0].ack_sync()
    await holder.context.delete_msg(STREAM, 2)
    assert await take_all(subscription, 1) == ["c"]
    await publish(broker, event("d"))
    assert await take_all(subscription, 1) == ["d"]


async def test_a_broker_that_does_not_answer_is_unavailable(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request without a reply is not followed by another one, which would take one of the events that were lost."""
    subscription = await subscribe(broker)
    await publish(broker, event("a"))
    requests: list[str] = []
    send = Client.publish

    async def lose(client: Client, subject: str, *arguments: Any, **options: Any) -> None:
        if "CONSUMER.MSG.NEXT" in subject:
            requests.append(subject)
        else:
            await send(client, subject, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(adapter, "SILENCE_S_MAX", 0.1)
        patched.setattr(Client, "publish", lose)
        with pytest.raises(Unavailable):
            await subscription.next()
    assert len(requests) == 1
    assert await take_all(subscription, 1) == ["a"]
