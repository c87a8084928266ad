"""The stream that holds all events, and the parameters that its consumers share."""

from typing import Final

STREAM: Final = "MESHWRIGHT"
DUPLICATE_WINDOW_S: Final = 120.0  # in it NATS drops duplicates; the inbox recognises all others
ACK_WAIT_S: Final = 5.0  # until an unacknowledged event is redelivered, because its receiver may be dead
REQUEST_TIMEOUT_S: Final = 3.0
