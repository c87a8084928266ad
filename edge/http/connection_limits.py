"""The limits of one HTTP/1.1 connection."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The limits on a request's head, and on clients that do not read.

    `size_bytes_max` limits the request line with the headers, `url_bytes_max` the URL, and `timeout_s` the time until
    the head is complete. A connection is closed if its client reads nothing of the pending data for `stall_s`.
    """

    size_bytes_max: int
    url_bytes_max: int
    timeout_s: float
    stall_s: float
