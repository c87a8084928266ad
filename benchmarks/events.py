"""The number of events that one consumer handles per second: `python -m benchmarks.events`.

It measures the way from the broker to a row that the handler writes, with each broker: one event at a time, each in its
own transaction, and in batches. The consumer is one process and shares the machine with PostgreSQL and the broker. A
third of the events belong to one aggregate.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import uuid4

from meshwright.identity.v1.events_pb import UserDeleted

from local.nats import Nats
from local.postgres import Postgres
from local.rabbitmq import RabbitMQServer
from mesh.contract.events import Participant
from mesh.database import Connection, Database
from mesh.events import Broker, Event, Inbox, connect
from mesh.events import inbox as inbox_module
from mesh.events.broker import Delivery, Subscription
from mesh.events.envelope import Envelope
from mesh.events.nats import provision as nats
from mesh.events.nats import users as nats_users
from mesh.events.rabbitmq import provision as rabbitmq
from mesh.events.rabbitmq import users as rabbitmq_users
from mesh.migrations import MESH_FOLDER, migrate
from mesh.settings import DatabaseSettings
from mesh.telemetry.logs import configure_logs

TYPE: Final = UserDeleted.desc().type_name
CONSUMER: Final = "consumer"
PARTICIPANTS: Final = (Participant("identity", (TYPE,), ()), Participant(CONSUMER, (), (TYPE,)))
EVENTS: Final = {"one at a time": 2_000, "in batches": 10_000}
AGGREGATES: Final = 1_000
PUBLISHED_AT_ONCE: Final = 200
COLUMNS: Final = "{:10} {:>15} {:>12} {:>6}"

Urls = Callable[[str], str]


class LogsAsInProduction:
    """The log settings of production, so that the cost of logging is included."""

    log_level, log_format = "info", "json"


class OneAtATime:
    """A broker whose subscriptions deliver batches of one."""

    def __init__(self, broker: Broker) -> None:
        self.publish = broker.publish
        self._broker = broker

    async def subscribe(self, name: str, event_types: Collection[str]) -> Subscription:
        """Returns the broker's own subscription, limited to batches of one."""
        subscription: Any = await self._broker.subscribe(name, event_types)
        whole_batch: Callable[[int], Awaitable[Sequence[Delivery]]] = subscription.next
        subscription.next = lambda: whole_batch(1)
        limited: Subscription = subscription
        return limited


@asynccontextmanager
async def running_nats(folder: Path) -> AsyncIterator[Urls]:
    """Starts and provisions NATS."""
    async with Nats(folder, nats_users.users(PARTICIPANTS)) as server:
        await nats.provision(server.url(nats_users.PROVISIONER), [TYPE], {CONSUMER: [TYPE]})
        yield server.url


@asynccontextmanager
async def running_rabbitmq(folder: Path) -> AsyncIterator[Urls]:
    """Starts and provisions RabbitMQ."""
    async with RabbitMQServer(folder, rabbitmq_users.users(PARTICIPANTS)) as server:
        await rabbitmq.provision(server.url(rabbitmq_users.PROVISIONER), [TYPE], {CONSUMER: [TYPE]})
        yield server.url


BROKERS: Final = {"NATS": running_nats, "RabbitMQ": running_rabbitmq}


async def note(tx: Connection, event: Event[UserDeleted]) -> None:
    """Handles an event as most handlers do: with one SQL statement."""
    await tx.execute("INSERT INTO notes (aggregate, text) VALUES ($1, $2)", event.aggregate, event.data.user)


async def publish(url: str, count: int) -> None:
    """Publishes events of many aggregates, a third of them of one."""
    async with connect(url, "identity") as broker:
        for first in range(0, count, PUBLISHED_AT_ONCE):
            numbers = range(first, min(first + PUBLISHED_AT_ONCE, count))
            await asyncio.gather(*(broker.publish(event(number)) for number in numbers))


def event(number: int) -> Envelope:
    """Returns an event."""
    aggregate = f"users/{number % AGGREGATES if number % 3 else 0}"
    payload = UserDeleted(user=aggregate).to_binary()
    return Envelope(str(uuid4()), TYPE, "identity", aggregate, datetime.now(UTC), payload, None)


async def events_per_s(database: Database, url: Urls, how: str) -> float:
    """Returns the number of events per second that one consumer handles from a filled broker."""
    count = EVENTS[how]
    await publish(url("identity"), count)
    inbox_module.BATCH_EVENTS_MAX = 1 if how == "one at a time" else 50
    async with connect(url(CONSUMER), CONSUMER) as broker:
        limited = OneAtATime(broker) if how == "one at a time" else broker
        started = time.perf_counter()
        async with Inbox(database, limited, service=CONSUMER, handlers={UserDeleted: note}):
            while await handled(database) < count:
                await asyncio.sleep(0.05)
        took_s = time.perf_counter() - started
    async with database.transaction() as tx:
        await tx.execute("TRUNCATE notes; TRUNCATE mesh.inbox")
    return count / took_s


async def handled(database: Database) -> int:
    """Returns the number of handled events."""
    async with database.transaction() as tx:
        return int(await tx.fetchval("SELECT count(*) FROM notes"))


async def measure(name: str, folder: Path, database: Database) -> Mapping[str, float]:
    """Returns the figures of one broker."""
    async with BROKERS[name](folder) as url:
        return {how: await events_per_s(database, url, how) for how in EVENTS}


async def main() -> None:
    """Prints a line for each broker."""
    logs = os.fdopen(os.dup(sys.stderr.fileno()), "w")
    sys.stderr = open(os.devnull, "w")  # noqa: PTH123, SIM115, ASYNC230 - for as long as the process lives
    configure_logs("consumer", LogsAsInProduction())
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # PostgreSQL may run as a user of its own
        async with Postgres(Path(name, "postgres")) as postgres:
            await postgres.create_databases(CONSUMER)
            migrate(postgres.url(CONSUMER), [MESH_FOLDER])
            settings = DatabaseSettings(database_url=postgres.url(CONSUMER))
            print(COLUMNS.format("events a s", *EVENTS, "ratio"), file=logs, flush=True)
            async with Database.open(settings, CONSUMER) as database:
                async with database.transaction() as tx:
                    await tx.execute("CREATE TABLE notes (aggregate text, text text)")
                for broker in BROKERS:
                    figures = await measure(broker, Path(name, broker), database)
                    single, batched = figures.values()
                    ratio = f"{batched / single:.1f}"
                    print(COLUMNS.format(broker, f"{single:,.0f}", f"{batched:,.0f}", ratio), file=logs, flush=True)


if __name__ == "__main__":
    asyncio.run(main())
