"""The headers of Connect's requests: the version of the protocol, and the client's timeout."""

import math
import re
from collections.abc import Mapping
from typing import Final

from mesh.errors import DeadlineExceeded, InvalidArgument

VERSION_HEADER: Final = b"connect-protocol-version"
TIMEOUT_HEADER: Final = b"connect-timeout-ms"

_TIMEOUT = re.compile(rb"[0-9]{1,10}")


def check_version(version: bytes | None, expected: bytes) -> None:
    """Raises InvalidArgument if the client names another version of the protocol than the expected one."""
    if version is not None and version != expected:
        text = f"The version of the Connect protocol must be {expected.decode()}."
        raise InvalidArgument(text, reason="PROTOCOL_VERSION_NOT_SUPPORTED")


def timeout_s(headers: Mapping[bytes, bytes]) -> float:
    """Returns the client's timeout in seconds, infinity if there is none. Raises InvalidArgument if it is malformed,
    DeadlineExceeded if it is zero.
    """
    given = headers.get(TIMEOUT_HEADER)
    if given is None:
        return math.inf
    if not _TIMEOUT.fullmatch(given):
        text = "The header Connect-Timeout-Ms must be a number of milliseconds with at most 10 digits."
        raise InvalidArgument(text, reason="MALFORMED_HEADER")
    if int(given) == 0:
        raise DeadlineExceeded("Connect-Timeout-Ms is 0: the deadline has already passed.")
    return int(given) / 1000
