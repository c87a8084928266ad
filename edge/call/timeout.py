"""The time that a client gives its call by the header X-Server-Timeout."""

import re
from collections.abc import Mapping
from typing import Final

from edge.http.headers import malformed_header

TIMEOUT: Final = b"x-server-timeout"


_TIMEOUT = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def timeout_s(headers: Mapping[bytes, bytes], allowed_s: float) -> float:
    """The seconds for this call: what the method allows, or fewer if the client says so by X-Server-Timeout. Raises
    InvalidArgument if it says something else, or that there is no time.
    """
    given = headers.get(TIMEOUT)
    if given is None:
        return allowed_s
    text = given.decode("latin-1").strip()
    if not _TIMEOUT.fullmatch(text):
        raise malformed_header("X-Server-Timeout", "must be a number of seconds, such as 1.5")
    wanted_s = float(text)
    if wanted_s == 0:
        raise malformed_header("X-Server-Timeout", "must be more than 0")
    return min(wanted_s, allowed_s)
