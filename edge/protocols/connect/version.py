"""What all Connect calls share: the version of the protocol, and the client's timeout."""

import math
import re
from collections.abc import Mapping
from typing import Final

from mesh.errors import DeadlineExceeded, InvalidArgument

VERSION_HEADER: Final = b"connect-protocol-version"
TIMEOUT_HEADER: Final = b"connect-timeout-ms"

_TIMEOUT = re.compile(rb"[0-9]{1,10}")


def check_version(version: bytes | None, expected: bytes) -> None:
    """Raises InvalidArgument for another version of the protocol; none is taken for the one that there is."""
    if version is not None and version != expected:
        text = f"The only version of the Connect protocol is {expected.decode()}."
        raise InvalidArgument(text, reason="PROTOCOL_VERSION_NOT_SUPPORTED")


def timeout_s(headers: Mapping[bytes, bytes]) -> float:
    """The timeout that the client wants, infinite if it names none. Raises InvalidArgument for one that is none,
    DeadlineExceeded for zero.
    """
    given = headers.get(TIMEOUT_HEADER)
    if given is None:
        return math.inf
    if not _TIMEOUT.fullmatch(given):
        text = "The header Connect-Timeout-Ms must be a number of milliseconds with at most 10 digits."
        raise InvalidArgument(text, reason="MALFORMED_HEADER")
    if int(given) == 0:
        raise DeadlineExceeded("Connect-Timeout-Ms leaves the call no time.")
    return int(given) / 1000
