"""The exchanges and queues of all events."""

import asyncio
from collections.abc import Collection, Mapping

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from pamqp.common import Arguments

from mesh.events.rabbitmq.connection import REQUEST_TIMEOUT_S, exists, open_connection
from mesh.events.rabbitmq.failures import translated_failures
from mesh.events.rabbitmq.topology import REJECTED, REJECTED_ROUTE, route, routes
from mesh.events.rabbitmq.users import PROVISIONER

QUEUE_SETTLE_S = 1.0
"""The time after which a new quorum queue survives a crash of its node: Ra writes down which queues exist every 500 ms,
and a queue that is missing there comes back empty and without a leader (seen with RabbitMQ 3.10).
"""


async def provision(
    url: str,
    event_types: Collection[str],
    consumers: Mapping[str, Collection[str]],
    queue_settle_s: float = QUEUE_SETTLE_S,
) -> None:
    """Creates the exchanges of these types, and the queues of these consumers. A consumer that no longer consumes a
    type does not get it any more; nothing else is deleted. Raises Unavailable, also if a queue is of another kind.
    """
    with translated_failures():
        async with await open_connection(url, PROVISIONER) as connection, connection.channel() as channel:
            await _provision(connection, channel, event_types, consumers, queue_settle_s)


async def _provision(
    connection: AbstractConnection,
    channel: AbstractChannel,
    event_types: Collection[str],
    consumers: Mapping[str, Collection[str]],
    queue_settle_s: float,
) -> None:
    # One consumer of a queue is active; another replica takes over when that one has gone.
    queues = (REJECTED, *consumers)
    new = [name for name in queues if not await exists(connection, queue=name)]
    for name in queues:  # an existing one too: RabbitMQ refuses it if it is of another kind, which keeps no order
        arguments: Arguments = {"x-queue-type": "quorum", "x-single-active-consumer": name != REJECTED}
        await channel.declare_queue(name, durable=True, arguments=arguments, timeout=REQUEST_TIMEOUT_S)
    if new:
        await asyncio.sleep(queue_settle_s)  # before the exchanges, by which events are accepted
    await _bind(channel, REJECTED, await _exchange(channel, REJECTED_ROUTE))
    for event_type in event_types:
        await _provision_type(channel, event_type, consumers)


async def _provision_type(channel: AbstractChannel, event_type: str, consumers: Mapping[str, Collection[str]]) -> None:
    """Declares the exchanges of a type, the one that is published to at last (see mesh.events.rabbitmq.topology)."""
    type_routes = await _exchange(channel, routes(event_type))
    for consumer, consumed in consumers.items():
        name = route(consumer, event_type)
        if event_type in consumed:
            exchange = await _exchange(channel, name)
            await _bind(channel, consumer, exchange)
            await exchange.bind(type_routes, timeout=REQUEST_TIMEOUT_S)
        else:
            await channel.exchange_delete(name, timeout=REQUEST_TIMEOUT_S)
    await _exchange(channel, event_type, {"alternate-exchange": routes(event_type)})


async def _bind(channel: AbstractChannel, queue: str, exchange: AbstractExchange) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(exchange, timeout=REQUEST_TIMEOUT_S)


async def _exchange(channel: AbstractChannel, name: str, arguments: dict[str, str] | None = None) -> AbstractExchange:
    return await channel.declare_exchange(
        name, ExchangeType.FANOUT, durable=True, arguments=dict(arguments or {}), timeout=REQUEST_TIMEOUT_S
    )
