"""`make events`: the events that a service of the running mesh publishes, as lines of JSON."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from nats import errors as nats_errors

from local.declarations.image import read_contracts
from local.errors import SetupError
from local.event_reader import EVENT_READER, EventReader
from local.event_tap import EVENT_TAP, EventTap
from local.home import Home
from local.nats import Nats
from local.rabbitmq import RabbitMQServer
from local.running import chosen_service, names, port_of
from mesh.events.envelope import Envelope
from mesh.events.event_json import as_json
from mesh.events.nats.stream import subjects_of
from mesh.events.rabbitmq.failures import FAILURES

PAST_MAX = 10


async def follow_events(home: Home, service: str | None) -> None:
    """Prints the last events of a service and then each new one, until interrupted. RabbitMQ keeps no past events, so
    there only new ones are printed. Raises SetupError.
    """
    event_types = chosen_service("events", service, lambda each: bool(each.publishes)).publishes
    follow = _rabbitmq_events if RabbitMQServer.name in names(home) else _nats_events
    types = read_contracts(Path())
    try:
        async for event in follow(home, event_types):
            print(json.dumps(as_json(event, types), ensure_ascii=False), flush=True)
    except (nats_errors.Error, *FAILURES) as error:
        raise SetupError(f"The broker closed the connection ({error}). `make status` shows its state.") from error


async def _nats_events(home: Home, event_types: Sequence[str]) -> AsyncIterator[Envelope]:
    broker = Nats(home.data(Nats.name), (), port_of(home, Nats.name))
    async with EventReader(broker.url(EVENT_READER.name)) as reader:
        async for event in reader.events(subjects_of(event_types), PAST_MAX):
            yield event


async def _rabbitmq_events(home: Home, event_types: Sequence[str]) -> AsyncIterator[Envelope]:
    broker = RabbitMQServer(home.data(RabbitMQServer.name), (), port_of(home, RabbitMQServer.name))
    async with EventTap(broker.url(EVENT_TAP.name)) as tap:
        print("RabbitMQ does not keep handled events. Only new events are printed.", file=sys.stderr)
        async for event in tap.events(event_types):
            yield event
