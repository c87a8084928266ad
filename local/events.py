"""`make events`: the events that a service of the running mesh publishes, as lines of JSON."""

import json
from pathlib import Path

from nats import errors as nats_errors
from protobuf.wkt import FileDescriptorSet

from local.declarations.checkout import IMAGE
from local.errors import SetupError
from local.event_reader import EVENT_READER, EventReader
from local.home import Home
from local.nats import Nats
from local.rabbitmq import RabbitMQServer
from local.running import chosen_service, names, port_of
from mesh.events.event_json import as_json
from mesh.events.nats.stream import subjects_of

PAST_MAX = 10


async def follow_events(home: Home, service: str | None) -> None:
    """Prints the last events of a service, and then each new one, until interrupted. Raises SetupError."""
    subjects = subjects_of(chosen_service("events", service, lambda each: bool(each.publishes)).publishes)
    if RabbitMQServer.name in names(home):
        raise SetupError("RabbitMQ carries the events, and its queues can't be read without taking from them.")
    broker = Nats(home.data(Nats.name), (), port_of(home, Nats.name))
    types = FileDescriptorSet.from_binary(Path(IMAGE).read_bytes()).to_registry()
    try:
        async with EventReader(broker.url(EVENT_READER.name)) as reader:
            async for event in reader.events(subjects, PAST_MAX):
                print(json.dumps(as_json(event, types), ensure_ascii=False), flush=True)
    except (nats_errors.Error, OSError) as error:
        raise SetupError(f"The broker has ended the connection ({error}). `make status` shows its state.") from error
