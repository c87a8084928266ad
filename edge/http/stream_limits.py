"""The limits of streams."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """The limits on the requests of a stream, and its time limits. After `open_s` without a first message the response
    headers are sent without it.
    """

    message_bytes_max: int
    bytes_max: int
    messages_max: int
    idle_s: float
    open_s: float
    heartbeat_s: float
