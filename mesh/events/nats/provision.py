"""The stream of all events, and the durable consumer of each service."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

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

from mesh.events.broker import BATCH_MAX, EVENT_AGE_S_MAX
from mesh.events.nats.failures import FAILURES, unavailable
from mesh.events.nats.jetstream import CONNECT_TIMEOUT_S
from mesh.events.nats.stream import ACK_WAIT_S, DUPLICATE_WINDOW_S, REQUEST_TIMEOUT_S, STREAM, subjects_of
from mesh.events.nats.users import PROVISIONER, inbox_prefix

log = structlog.get_logger()


async def provision(url: str, event_types: Collection[str], consumers: Mapping[str, Collection[str]]) -> None:
    """Creates or updates the stream for these types and these consumers. Raises Unavailable."""
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
        await _ensure_stream(context, subjects_of(event_types))
        for name, types in consumers.items():
            await context.add_consumer(STREAM, config=_consumer(name, types))
    except FAILURES as error:
        raise unavailable(error) from error
    finally:
        await client.close()


async def _ensure_stream(context: JetStreamContext, subjects: Sequence[str]) -> None:
    """Creates the stream if it is missing, and adds subjects that it lacks. What an operator changed, such as replicas,
    is kept.
    """
    try:
        config = (await context.stream_info(STREAM)).config
    except NotFoundError:
        await context.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=list(subjects),
                storage=StorageType.FILE,
                retention=RetentionPolicy.LIMITS,
                discard=DiscardPolicy.NEW,  # a full stream rejects new events, and the outbox keeps them
                max_age=EVENT_AGE_S_MAX,
                duplicate_window=DUPLICATE_WINDOW_S,
            )
        )
        return
    present = config.subjects or []
    missing = [subject for subject in subjects if not any(_covers(each, subject) for each in present)]
    if missing:
        kept = [each for each in present if not any(_covers(subject, each) for subject in missing)]
        await context.update_stream(replace(config, subjects=[*kept, *missing]))


def _covers(wide: str, narrow: str) -> bool:
    """Returns whether each subject that matches `narrow` matches `wide`, which may end with > or *."""
    start, dot, last = wide.rpartition(".")
    match last:
        case ">":
            return narrow.startswith(f"{start}{dot}")
        case "*":
            return narrow.rpartition(".")[0] == start and not narrow.endswith(">")
    return wide == narrow


def _consumer(name: str, types: Collection[str]) -> ConsumerConfig:
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
