"""What a stream may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Limits on what a client sends, and the times that its streams keep. `open_s` is how long the first message may
    take before the headers of the reply go out without it.
    """

    message_bytes_max: int
    bytes_max: int
    messages_max: int
    idle_s: float
    open_s: float
    heartbeat_s: float
