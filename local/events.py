"""`make events`: the events that a service of the running mesh publishes, as lines of JSON."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from nats import errors as nats_errors
from protobuf import Registry
from protobuf.wkt import FileDescriptorSet

from local.declarations.checkout import IMAGE
from local.errors import SetupError
from local.event_reader import EVENT_READER, EventReader
from local.home import Home
from local.nats import Nats
from local.rabbitmq import RabbitMQServer
from local.running import chosen_service, names, port_of
from mesh.events.envelope import Envelope
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


def as_json(event: Envelope, types: Registry) -> dict[str, Any]:
    """Returns an event in the JSON format of CloudEvents, its data as ProtoJSON. Data of a type that the contracts do
    not declare, or that is corrupt, is in `data_base64`.
    """
    attributes = event.attributes() | {"datacontenttype": "application/json"}
    desc = types.message(event.type)
    try:
        if desc is not None:
            return {**attributes, "data": json.loads(desc.type.from_binary(event.payload).to_json(registry=types))}
    except (ValueError, EOFError):
        pass
    return {**event.attributes(), "data_base64": b64encode(event.payload).decode()}
