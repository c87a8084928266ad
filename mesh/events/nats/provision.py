"""The command that creates the stream of all events, and the durable consumer of each service in the contracts.

    python -m mesh.events.nats.provision [--keep]

NATS_URL is the broker, with the provisioner as its user; CONTRACTS is the descriptor image, gen/contracts.binpb by
default. It updates what differs and deletes nothing. With --keep it waits for a broker that is away and repeats the
work until SIGTERM, so that a broker which has lost its data gets the stream and the consumers back.
"""

import argparse
import asyncio
import contextlib
import itertools
import signal
import sys
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path

import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError
from protobuf.wkt import FileDescriptorSet
from pydantic import Field

from mesh.contract.events import TYPE_PREFIX, participants
from mesh.events.broker import BATCH_MAX, EVENT_AGE_S_MAX
from mesh.events.nats.failures import FAILURES
from mesh.events.nats.jetstream import CONNECT_TIMEOUT_S
from mesh.events.nats.stream import ACK_WAIT_S, DUPLICATE_WINDOW_S, REQUEST_TIMEOUT_S, STREAM
from mesh.events.nats.users import PROVISIONER, inbox_prefix
from mesh.settings import EventSettings, Text, load

log = structlog.get_logger()

ATTEMPTS_MAX = 30
ATTEMPT_PAUSE_S = 1.0
KEEP_PAUSE_S = 10.0

Consumers = Mapping[str, Sequence[str]]
"""The event types of each consumer, by its name."""


class ProvisionSettings(EventSettings):
    """The settings of the provisioner: the broker and the contracts."""

    contracts: Text = Field("gen/contracts.binpb", description="the descriptor image", examples=["gen/contracts.binpb"])


async def provision(url: str, consumers: Consumers) -> None:
    """Creates or updates the stream and these consumers. Raises nats.errors.Error or OSError."""
    client = Client()
    try:
        await client.connect(
            url,
            name=PROVISIONER,
            inbox_prefix=inbox_prefix(PROVISIONER).encode(),
            connect_timeout=CONNECT_TIMEOUT_S,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            error_cb=_log_error,
        )
        context = client.jetstream(timeout=REQUEST_TIMEOUT_S)
        await _ensure_stream(context)
        for name, types in consumers.items():
            await context.add_consumer(STREAM, config=_consumer(name, types))
    finally:
        await client.close()


def declared_consumers(image: FileDescriptorSet) -> Consumers:
    """Returns the consumers that the contracts declare: one for each service that consumes events."""
    return {service.name: service.consumes for service in participants(image) if service.consumes}


async def _ensure_stream(context: JetStreamContext) -> None:
    """Creates the stream if it is missing. Changes that an operator made, such as replicas, are kept."""
    try:
        await context.stream_info(STREAM)
    except NotFoundError:
        await context.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=[f"{TYPE_PREFIX}>"],
                storage=StorageType.FILE,
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.NEW,  # a full stream rejects new events, and the outbox keeps them
                max_age=EVENT_AGE_S_MAX,
                duplicate_window=DUPLICATE_WINDOW_S,
            )
        )


def _consumer(name: str, types: Sequence[str]) -> ConsumerConfig:
    return ConsumerConfig(
        name=name,
        durable_name=name,
        filter_subjects=sorted(types),
        deliver_policy=DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_S,
        max_deliver=-1,
        max_ack_pending=BATCH_MAX,
    )


async def _log_error(error: Exception) -> None:
    log.warning("NATS connection error", error=f"{type(error).__name__}: {error}")


async def _provision_with_retries(url: str, consumers: Consumers, keep: bool) -> None:
    """Provisions the broker as soon as it answers. Without `keep`, raises the last error after half a minute."""
    for _ in itertools.count() if keep else range(ATTEMPTS_MAX - 1):
        try:
            await provision(url, consumers)
        except FAILURES as error:
            log.info("could not provision the broker yet", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(ATTEMPT_PAUSE_S)
        else:
            return
    await provision(url, consumers)


async def _run(settings: ProvisionSettings, keep: bool) -> None:
    image = FileDescriptorSet.from_binary(Path(settings.contracts).read_bytes())
    consumers = declared_consumers(image)
    await _provision_with_retries(settings.nats_url.get_secret_value(), consumers, keep)
    log.info("the broker is provisioned", stream=STREAM, consumers=sorted(consumers))
    while keep:
        await asyncio.sleep(KEEP_PAUSE_S)
        await _provision_with_retries(settings.nats_url.get_secret_value(), consumers, keep)


async def _until_terminated(work: Coroutine[None, None, None]) -> None:
    """Runs `work` until SIGTERM. The first process of a container ignores SIGTERM unless it handles it."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main(arguments: Sequence[str]) -> int:
    """Provisions the broker and returns the exit status: 1 if the broker rejects a request or does not answer."""
    parser = argparse.ArgumentParser(
        prog="python -m mesh.events.nats.provision",
        description="Creates the stream and the consumers in NATS_URL's broker.",
    )
    parser.add_argument("--keep", action="store_true", help="keep running, and restore what gets lost")
    options = parser.parse_args(arguments)
    settings = load(ProvisionSettings)
    try:
        work = _run(settings, options.keep)
        asyncio.run(_until_terminated(work) if options.keep else work)
    except FAILURES as error:
        print(f"The broker of NATS_URL could not be provisioned: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
