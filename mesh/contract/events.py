"""The events that the contracts declare by the option (meshwright.policy.v1.event): publishers and consumers."""

from collections import defaultdict
from dataclasses import dataclass

from meshwright.policy.v1.policy_pb import ext_event
from protobuf import DescMessage, Registry


@dataclass(frozen=True, slots=True)
class Participant:
    """A service that publishes or consumes events, with the full names of their types."""

    name: str
    publishes: tuple[str, ...]
    consumes: tuple[str, ...]


def package_of(event_type: str) -> str:
    """Returns the package of a type of event."""
    return event_type.rpartition(".")[0]


def publisher_of(event_type: str) -> str:
    """Returns the service that publishes a type of event, which its package names before the version: acme.orders.v1.…
    belongs to orders.
    """
    return package_of(package_of(event_type)).rpartition(".")[2]


def participants(contracts: Registry) -> tuple[Participant, ...]:
    """Returns the services that publish or consume events of the contracts, sorted by name."""
    publishes, consumes = defaultdict[str, list[str]](list), defaultdict[str, list[str]](list)
    for event, consumers in consumers_of_events(contracts):
        publishes[publisher_of(event.type_name)].append(event.type_name)
        for consumer in consumers:
            consumes[consumer].append(event.type_name)
    names = sorted(publishes.keys() | consumes.keys())
    return tuple(Participant(name, tuple(sorted(publishes[name])), tuple(sorted(consumes[name]))) for name in names)


def consumers_of_events(contracts: Registry) -> list[tuple[DescMessage, list[str]]]:
    """Returns the events of the contracts, each with the names of its consumers, sorted by type."""
    messages = [desc for desc in contracts if isinstance(desc, DescMessage)]
    events = [
        (message, list(options[ext_event].consumers))
        for message in messages
        if (options := message.proto.options) is not None and ext_event in options
    ]
    return sorted(events, key=lambda event: event[0].type_name)
