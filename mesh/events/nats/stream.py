"""The stream that holds all events, and the parameters that its consumers share."""

from collections.abc import Iterable
from typing import Final

from mesh.contract.events import package_of

STREAM: Final = "MESHWRIGHT"
DUPLICATE_WINDOW_S: Final = 120.0  # in it NATS drops duplicates; the inbox recognises all others
ACK_WAIT_S: Final = 5.0  # until an unacknowledged event is redelivered, because its receiver may be dead
REQUEST_TIMEOUT_S: Final = 3.0


def subjects_of(event_types: Iterable[str]) -> tuple[str, ...]:
    """Returns the subjects that cover these types of events: one for each package, for types that it will have, too."""
    return tuple(sorted({f"{package_of(event_type)}.*" for event_type in event_types}))
