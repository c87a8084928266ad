"""The broker's users and their permissions, which RabbitMQ enforces, as definitions that it loads when it starts.

Each service has a user of its own, which may write to the exchanges of its own types of events, and read its own queue.
It may not declare or bind anything, nor write to the default exchange, by which anybody could put a message into any
queue. So the provisioner creates exchanges and queues. To bind them it has to be allowed to write to queues and to read
exchanges; it may read no queue and write to no exchange of a type (a
message in another exchange is no event).

https://www.rabbitmq.com/docs/access-control https://www.rabbitmq.com/docs/definitions
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mesh.contract.events import Participant
from mesh.events.broker import EVENT_AGE_S_MAX
from mesh.events.rabbitmq.topology import REJECTED, REJECTED_ROUTE

PROVISIONER: Final = "provisioner"
VHOST: Final = "/"
_NOTHING: Final = "^$"


@dataclass(frozen=True, slots=True)
class User:
    """A user of the broker, and the regular expressions of the names that it may configure, write to and read from."""

    name: str
    configure: str
    write: str
    read: str


def service_user(service: Participant) -> User:
    """Returns the user that a service connects as."""
    read = f"^{re.escape(service.name)}$" if service.consumes else _NOTHING
    return User(service.name, _NOTHING, _any_of(service.publishes), read)


def provisioner(services: Sequence[Participant]) -> User:
    """Returns the user that creates exchanges and queues."""
    types = sorted(event for service in services for event in service.publishes)
    consumers = [service.name for service in services if service.consumes]
    queues = _alternatives([*consumers, REJECTED])
    exchanges = f"({_alternatives(['routes', *consumers])}):.+"
    read = "|".join([exchanges, *map(re.escape, types)])
    return User(PROVISIONER, f"^({read}|{queues})$", f"^({exchanges}|{queues})$", f"^({read})$")


def users(services: Sequence[Participant]) -> tuple[User, ...]:
    """Returns all users of the broker."""
    return (provisioner(services), *map(service_user, services))


def definitions(users: Sequence[User], passwords: Mapping[str, str], version: int) -> dict[str, Any]:
    """Returns the definitions of these users, and of the policies for queues, for a major version of RabbitMQ."""
    # From 4.0 on a message that was returned 20 times is taken away, unless a policy says -1, which 3 does not know.
    limits = {"delivery-limit": -1} if version >= 4 else {}
    return {
        "vhosts": [{"name": VHOST}],
        "users": [{"name": user.name, "password": passwords[user.name], "tags": ""} for user in users],
        "permissions": [
            {
                "user": user.name,
                "vhost": VHOST,
                "configure": user.configure,
                "write": user.write,
                "read": user.read,
            }
            for user in users
        ],
        "policies": [
            _policy("events", f"^(?!{REJECTED}$)", _EVENTS | limits),
            _policy("rejected", f"^{REJECTED}$", _KEPT),
        ],
    }


_AGE_MS_MAX = int(EVENT_AGE_S_MAX * 1000)
_KEPT = {"message-ttl": _AGE_MS_MAX}
_EVENTS = {
    "message-ttl": _AGE_MS_MAX,
    "dead-letter-exchange": REJECTED_ROUTE,
    # A message leaves its queue once the other one has it: https://www.rabbitmq.com/docs/quorum-queues#dead-lettering
    "dead-letter-strategy": "at-least-once",
    "overflow": "reject-publish",
}


def _policy(name: str, pattern: str, definition: Mapping[str, object]) -> dict[str, Any]:
    return {
        "vhost": VHOST,
        "name": name,
        "pattern": pattern,
        "apply-to": "queues",
        "definition": dict(definition),
        "priority": 0,
    }


def _any_of(names: Sequence[str]) -> str:
    return f"^({_alternatives(names)})$" if names else _NOTHING


def _alternatives(names: Sequence[str]) -> str:
    return "|".join(map(re.escape, names))
