"""The time of a call as gRPC's header grpc-timeout: Timeout in PROTOCOL-HTTP2.md."""

import re
from typing import Final

_TIMEOUT = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS_S: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def decode(value: bytes) -> float | None:
    """Returns the seconds; None if the value is not one to eight digits and a unit."""
    found = _TIMEOUT.fullmatch(value)
    return int(found[1]) * _UNITS_S[found[2]] if found else None
