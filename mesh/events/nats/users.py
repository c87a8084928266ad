"""The broker's users and their permissions, which NATS enforces.

Each service has a user of its own, which may publish to the subjects of its own packages, pull from its own consumer,
and subscribe only to its own inbox, which receives the replies. It may not create or change streams and consumers: the
subjects of a consumer are in the body of the request that creates it, where NATS checks no permission. So the
provisioner creates them, which may neither read nor publish events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mesh.contract.events import Participant
from mesh.events.nats.stream import STREAM, subjects_of

PROVISIONER = "provisioner"
PASSWORDS_FILE = "passwords.conf"

_HEADER = """\
# The users of the broker, by what the contracts in proto/ say of events. Written by `make generate`: change the
# contracts, not this file. passwords.conf, beside it, sets the variables.
"""


@dataclass(frozen=True, slots=True)
class User:
    """A user of the broker, and the NATS subjects that it may publish to and subscribe to."""

    name: str
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]

    @property
    def password_variable(self) -> str:
        """Returns the variable of NATS's configuration that holds the password."""
        return f"{self.name.upper()}_PASSWORD"


def inbox_prefix(user: str) -> str:
    """Returns the prefix of the subjects on which a user receives replies. No other user may subscribe to them."""
    return f"_INBOX_{user}"


def service_user(service: Participant) -> User:
    """Returns the user that a service connects as."""
    own = f"{STREAM}.{service.name}"
    consuming = (f"$JS.API.CONSUMER.INFO.{own}", f"$JS.API.CONSUMER.MSG.NEXT.{own}", f"$JS.ACK.{own}.>")
    publish = subjects_of(service.publishes) + (consuming if service.consumes else ())
    return User(service.name, publish, (f"{inbox_prefix(service.name)}.>",))


def provisioner() -> User:
    """Returns the user that creates the stream and the consumers. It may not delete anything."""
    streams = tuple(f"$JS.API.STREAM.{action}.{STREAM}" for action in ("INFO", "CREATE", "UPDATE"))
    consumers = (f"$JS.API.CONSUMER.INFO.{STREAM}.*", f"$JS.API.CONSUMER.CREATE.{STREAM}.>")
    return User(PROVISIONER, streams + consumers, (f"{inbox_prefix(PROVISIONER)}.>",))


def users(services: Sequence[Participant]) -> tuple[User, ...]:
    """Returns all users of the broker."""
    return (provisioner(), *map(service_user, services))


def configuration(users: Sequence[User]) -> str:
    """Returns the part of NATS's configuration that defines these users. Another file sets their passwords.

    https://docs.nats.io/running-a-nats-service/configuration/securing_nats/authorization
    """
    blocks = "\n".join(map(_block, users))
    return f"{_HEADER}include {PASSWORDS_FILE}\nauthorization {{\n  users: [\n{blocks}\n  ]\n}}\n"


def _block(user: User) -> str:
    publish = f"allow: {_list(user.publish)}" if user.publish else 'deny: [">"]'
    return (
        f"    {{\n      user: {user.name}\n      password: ${user.password_variable}\n"
        f"      permissions: {{\n        publish: {{{publish}}}\n"
        f"        subscribe: {{allow: {_list(user.subscribe)}}}\n      }}\n    }}"
    )


def _list(subjects: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{subject}"' for subject in subjects) + "]"
