"""The stream that holds all events, and what holds for its consumers."""

from typing import Final

STREAM: Final = "MESHWRIGHT"
DUPLICATE_WINDOW_S: Final = 120.0  # spares consumers most repetitions; the inbox guards against all
ACK_WAIT_S: Final = 5.0  # then an event that we took comes again, for whoever took it may be dead
