"""The guarantees of the port to a broker, which every adapter must keep, on a real server."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from mesh.errors import Unavailable
from mesh.events import Broker, connect
from mesh.events.broker import Delivery, Subscription
from mesh.events.envelope import Envelope
from tests.mesh.events.brokers import BrokerServer, received
from tests.mesh.messages import Note, Other

NOTE, OTHER = Note.desc().type_name, Other.desc().type_name


def event(text: str, event_type: str = NOTE) -> Envelope:
    """Returns an event of the service "test"."""
    trace = "00-00000000000000000000000000000abc-0000000000000def-01"
    payload = Note(text=text).to_binary()
    return Envelope(str(uuid4()), event_type, "test", "notes/1", datetime.now(UTC), payload, trace, "case-7")


def text(delivery: Delivery) -> str:
    """Returns the text of a note that was delivered."""
    note = Note.from_binary(delivery.payload)
    return str(note.text)


async def publish(broker: Broker, *events: Envelope) -> None:
    """Publishes events one after the other, retrying until the broker is available."""
    async with asyncio.timeout(30):
        for each in events:
            while True:
                try:
                    await broker.publish(each)
                    break
                except Unavailable:
                    await asyncio.sleep(0.02)


async def subscribe(broker: Broker, name: str = "test", event_type: str = NOTE) -> Subscription:
    """Subscribes, retrying until the broker is available."""
    async with asyncio.timeout(30):
        while True:
            with suppress(Unavailable):
                return await broker.subscribe(name, [event_type])
            await asyncio.sleep(0.02)


async def take(subscription: Subscription) -> Delivery:
    """Waits for the next delivery, alone in its batch, and returns it."""
    async with asyncio.timeout(30):
        while True:
            for delivery in await subscription.next(1):
                return delivery


async def take_batch(subscription: Subscription) -> Sequence[Delivery]:
    """Waits for the next batch and returns it."""
    async with asyncio.timeout(30):
        while not (batch := await subscription.next()):
            pass
    return batch


async def take_all(subscription: Subscription, count: int) -> list[str]:
    """Acknowledges the next notes and returns their texts."""
    texts = []
    for _ in range(count):
        texts.append(text(await take(subscription)))
        await subscription.ack()
    return texts


async def test_an_event_arrives_as_it_was_published(broker: Broker) -> None:
    """Attributes, payload and the authorised type are those of the event."""
    sent = event("a")
    await publish(broker, sent)
    delivery = await take(await subscribe(broker))
    assert delivery.event_type == NOTE
    assert received(delivery) == sent


async def test_events_come_in_the_order_of_their_publishing(broker: Broker) -> None:
    """Each event is delivered once if it is acknowledged at once."""
    texts = [str(number) for number in range(20)]
    await publish(broker, *map(event, texts))
    subscription = await subscribe(broker)
    assert await take_all(subscription, 20) == texts
    assert not await subscription.next()


async def test_publishing_an_event_again_does_no_harm(broker: Broker) -> None:
    """A repeated event has the same id, and later events are still delivered."""
    sent = event("a")
    await publish(broker, sent, sent, event("b"))
    subscription, ids = await subscribe(broker), []
    while text(delivery := await take(subscription)) != "b":
        ids.append(received(delivery).id)
        await subscription.ack()
    assert set(ids) == {sent.id}


async def test_an_event_after_nak_is_redelivered_before_later_ones(broker: Broker) -> None:
    """nak() has the message delivered again, with the same identifier."""
    await publish(broker, event("a"), event("b"))
    subscription = await subscribe(broker)
    first = await take(subscription)
    await subscription.nak()
    again = await take(subscription)
    assert (text(again), again.message_id) == ("a", first.message_id)
    await subscription.ack()
    assert await take_all(subscription, 1) == ["b"]


async def test_a_rejected_event_is_kept_but_not_redelivered(server: BrokerServer, broker: Broker) -> None:
    """After reject() the next event is delivered, and an operator finds the rejected one."""
    rejected = event("a")
    await publish(broker, rejected)
    subscription = await subscribe(broker)
    await (await take(subscription)).reject()
    assert not await subscription.next()
    assert await server.rejected() == [rejected.payload]
    await publish(broker, event("b"))
    assert await take_all(subscription, 1) == ["b"]
    assert not await subscription.next()


async def test_receivers_that_leave_soon_do_not_delay_it_for_ever(broker: Broker) -> None:
    """A delivery that was not settled is repeated to one of the receivers that replace each other every two seconds."""
    await publish(broker, event("one"))
    first = await subscribe(broker)
    assert text(await take(first)) == "one"
    await first.close()
    repeated: list[str] = []
    async with asyncio.timeout(30):
        while not repeated:
            receiver = await subscribe(broker)
            repeated += map(text, await receiver.next())
            await receiver.close()
    assert repeated == ["one"]


async def test_a_batch_is_settled_as_one(broker: Broker) -> None:
    """Events that have arrived come in one ordered batch and are acknowledged at once, except for a rejected event."""
    await publish(broker, *map(event, "abcdefgh"))
    subscription = await subscribe(broker)
    texts: list[str] = []
    while len(texts) < 8:
        batch = await take_batch(subscription)
        texts += map(text, batch)
        await batch[0].reject()
        await subscription.ack()
    assert texts == list("abcdefgh")
    await subscription.close()
    assert not await (await subscribe(broker)).next()


async def test_a_batch_after_nak_is_redelivered_before_later_ones(broker: Broker) -> None:
    """nak() has the whole batch delivered again, in order, but for a rejected event, and before what follows it."""
    await publish(broker, *map(event, "abcdefgh"))
    subscription = await subscribe(broker)
    batch = await take_batch(subscription)
    await batch[0].reject()
    await subscription.nak()
    assert await take_all(subscription, 7) == list("bcdefgh")


@pytest.mark.usefixtures("short_ack_wait")
async def test_the_batch_of_a_dead_process_goes_to_another(server: BrokerServer) -> None:
    """All its deliveries are repeated in order, before later events, which it may have been sent already."""
    async with server.connect() as other:
        async with server.connect() as broker:
            await publish(broker, *map(event, "abcdefgh"))
            subscription = await subscribe(broker)
            assert await take_all(subscription, 1) == ["a"]
            await take_batch(subscription)
        assert await take_all(await subscribe(other), 7) == list("bcdefgh")


async def test_competing_subscribers_get_nothing_out_of_order(server: BrokerServer) -> None:
    """Whichever of two processes takes a batch, no event comes before one that is earlier and not settled."""
    numbers = list(map(str, range(300)))
    async with server.connect() as one, server.connect() as other:
        await publish(one, *map(event, numbers))
        settled: list[str] = []

        async def settle(subscription: Subscription) -> None:
            while len(settled) < len(numbers):
                with suppress(Unavailable):
                    texts = [text(delivery) for delivery in await subscription.next(7)]
                    settled.extend(each for each in texts if each not in settled)
                    await subscription.ack()

        async with asyncio.timeout(60):
            await asyncio.gather(*[settle(await subscribe(broker)) for broker in (one, other)])
    assert settled == numbers


async def test_a_subscription_keeps_its_position(server: BrokerServer) -> None:
    """Acknowledged events are not repeated, and events published meanwhile are delivered."""
    async with server.connect() as broker:
        await publish(broker, event("a"), event("b"))
        subscription = await subscribe(broker)
        assert await take_all(subscription, 1) == ["a"]
        await subscription.close()
        await publish(broker, event("c"))
    async with server.connect() as broker:
        assert await take_all(await subscribe(broker), 2) == ["b", "c"]


@pytest.mark.usefixtures("short_ack_wait")
async def test_the_delivery_of_a_dead_process_goes_to_another(server: BrokerServer) -> None:
    """A delivery that is not settled in time is repeated, before later events."""
    async with server.connect() as other:
        async with server.connect() as broker:
            await publish(broker, event("a"), event("b"))
            assert text(await take(await subscribe(broker))) == "a"
        assert await take_all(await subscribe(other), 2) == ["a", "b"]


async def test_there_is_one_delivery_at_a_time(server: BrokerServer) -> None:
    """While one process has an event, others with the same subscription get none; once it leaves, they get the next."""
    async with server.connect() as one, server.connect() as other:
        await publish(one, event("a"), event("b"))
        holding = await subscribe(one)
        await take(holding)
        sharing = await subscribe(other)
        assert not await sharing.next()
        await holding.ack()
        await holding.close()
        assert text(await take(sharing)) == "b"


async def test_each_subscription_has_the_events_of_its_types(broker: Broker) -> None:
    """Other types are not delivered."""
    await publish(broker, event("a"), event("x", OTHER), event("b"))
    notes, others = await subscribe(broker), await subscribe(broker, "others", OTHER)
    assert await take_all(notes, 2) == ["a", "b"]
    assert (await take(others)).event_type == OTHER


async def test_attributes_are_the_authors_and_the_type_is_the_brokers(server: BrokerServer, broker: Broker) -> None:
    """A publisher that bypasses the adapter can set any attribute, but only an event_type that it may publish."""
    given = [
        await server.publish(NOTE, b"", {"type": OTHER, "source": "another"}),
        await server.publish(NOTE, b"", {}),
    ]
    subscription = await subscribe(broker)
    forged = await take(subscription)
    await subscription.ack()
    bare = await take(subscription)
    assert (forged.event_type, bare.event_type) == (NOTE, NOTE)
    assert (forged.attributes["type"], forged.attributes["source"]) == (OTHER, "another")
    assert dict(bare.attributes) == {}
    assert [forged.message_id, bare.message_id] == given
    assert forged.message_id != bare.message_id


async def test_published_events_survive_the_death_of_the_broker(own_server: BrokerServer) -> None:
    """publish() returns once the event is on disk; connections are established again."""
    await own_server.start()
    await own_server.provision({"test": [NOTE]})
    async with own_server.connect() as broker:
        await publish(broker, event("a"))
        await own_server.kill()
        await own_server.start()
        await publish(broker, event("b"))
        assert await take_all(await subscribe(broker), 2) == ["a", "b"]


async def test_a_broker_that_is_away_is_unavailable(own_server: BrokerServer) -> None:
    """A connection starts without a broker; its methods raise Unavailable until the broker is up."""
    async with own_server.connect() as broker:
        with pytest.raises(Unavailable) as published:
            await broker.publish(event("a"))
        with pytest.raises(Unavailable) as subscribed:
            await broker.subscribe("test", [NOTE])
        assert {published.value.reason, subscribed.value.reason} == {"BROKER_UNAVAILABLE"}
        await own_server.start()
        await own_server.provision({"test": [NOTE]})
        await publish(broker, event("b"))
        assert await take_all(await subscribe(broker), 1) == ["b"]


async def test_a_subscription_that_is_not_provisioned_is_unavailable(broker: Broker) -> None:
    """Subscribing fails for an unknown subscription, and for one that does not deliver all types."""
    await subscribe(broker)
    with pytest.raises(Unavailable):
        await broker.subscribe("nobody", [NOTE])
    with pytest.raises(Unavailable) as caught:
        await broker.subscribe("test", [NOTE, OTHER])
    assert caught.value.reason == "EVENT_NOT_DELIVERED"
    assert OTHER in caught.value.message


async def _drain(subscription: Subscription) -> None:
    while True:
        await subscription.next(1)


async def test_a_subscription_that_is_deleted_becomes_unavailable(server: BrokerServer, broker: Broker) -> None:
    """Its subscriber is told, also if nothing has arrived for some time."""
    subscription = await broker.subscribe("test", [NOTE])
    assert not await subscription.next(1)
    await server.clear()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(_drain(subscription), 30)


def test_the_scheme_of_a_url_chooses_the_adapter() -> None:
    """An unknown scheme is an error whose message does not hold the URL's password."""
    with pytest.raises(ValueError, match=r"^There is no broker adapter for the scheme pigeon://\. "):
        connect("pigeon://test:secret@coop", "test")


async def test_events_that_are_refused_do_not_disturb_others(broker: Broker) -> None:
    """Many at the same time, of a type that is not provisioned, fail; all others are published meanwhile."""
    for number in range(5):
        newer = [event(str(each), f"meshwright.newer{number}.v1.Added") for each in range(50)]
        notes = [event(str(each)) for each in range(50)]
        refused = await asyncio.gather(*map(broker.publish, [*newer, *notes]), return_exceptions=True)
        assert all(isinstance(error, Unavailable) for error in refused[:50])
        assert refused[50:] == [None] * 50
