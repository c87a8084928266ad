"""The interface of readers: what they do for each other."""

from typing import Any, Protocol

from protobuf import DescMessage, Registry

from edge.protojson.violations import Location, Violations


class Reader(Protocol):
    """A reader of JSON values."""

    def read(self, value: Any, location: Location, violations: Violations) -> Any:
        """Returns the value to set in a message, or INVALID after recording a violation."""


class MessageReaders(Protocol):
    """The readers of all message types of a registry. `depth_max` is how deep values may be nested."""

    registry: Registry
    depth_max: int

    def message(self, desc: DescMessage) -> Reader:
        """Returns the reader of a message type that is an object or an array in JSON."""
