"""The timeout that a client requests by the header X-Server-Timeout."""

import re
from collections.abc import Mapping
from typing import Final

from edge.http.headers import malformed_header

TIMEOUT: Final = b"x-server-timeout"


_TIMEOUT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def timeout_s(headers: Mapping[bytes, bytes], allowed_s: float) -> float:
    """Returns the timeout of a call: X-Server-Timeout, but at most `allowed_s`. Raises InvalidArgument if the header is
    malformed or zero.
    """
    given = headers.get(TIMEOUT)
    if given is None:
        return allowed_s
    text = given.decode("latin-1").strip()
    if not _TIMEOUT.fullmatch(text):
        raise malformed_header("X-Server-Timeout", "must be a number of seconds, such as 1.5")
    requested_s = float(text)
    if requested_s == 0:
        raise malformed_header("X-Server-Timeout", "must be more than 0")
    return min(requested_s, allowed_s)
