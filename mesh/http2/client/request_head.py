"""The header block of a request: Request-Headers in gRPC's PROTOCOL-HTTP2.md."""

import math
from typing import Final

from mesh.errors import Metadata
from mesh.http2.fields import encode_metadata
from mesh.http2.hpack import encode_name, encode_string
from mesh.http2.messages import ACCEPTED_ENCODINGS

PATHS_MAX: Final = 4096
"""The most methods whose common fields are kept."""

USER_AGENT: Final = b"grpc-python-asyncio-meshwright"

_POST: Final = b"\x83"  # :method, the third entry of HPACK's static table
_SCHEMES: Final = {False: b"\x86", True: b"\x87"}
_TIMEOUT: Final = encode_name(b"grpc-timeout")
_TIMEOUT_MAX: Final = 99_999_999  # eight digits


class RequestHeads:
    """The header blocks of the requests to one peer."""

    def __init__(self, authority: str, *, secure: bool) -> None:
        """`authority` is the value of :authority, `secure` whether the scheme is https."""
        self._start = _POST + _SCHEMES[secure]
        self._authority = encode_name(b":authority") + encode_string(authority.encode())
        self._of_path: dict[str, bytes] = {}

    def block(self, path: str, timeout_s: float, metadata: Metadata) -> bytes:
        """Returns the header block of a call. Without a deadline, `timeout_s` is infinite."""
        block = self._of_path.get(path)
        if block is None:
            if len(self._of_path) == PATHS_MAX:
                self._of_path.clear()
            block = self._of_path[path] = self._common(path)
        if timeout_s != math.inf:
            block += _TIMEOUT + encode_string(timeout(timeout_s))
        return block + encode_metadata(metadata)

    def _common(self, path: str) -> bytes:
        """Returns the fields that all calls of a method share. Pseudo-fields come first: RFC 9113, section 8.3."""
        fields = [(b"te", b"trailers"), (b"content-type", b"application/grpc"), (b"user-agent", USER_AGENT)]
        fields.append((b"grpc-accept-encoding", ACCEPTED_ENCODINGS))
        named = [encode_name(name) + encode_string(value) for name, value in ((b":path", path.encode()), *fields)]
        return b"".join([self._start, named[0], self._authority, *named[1:]])


def timeout(timeout_s: float) -> bytes:
    """Returns the value of grpc-timeout, at most eight digits and a unit. A rest of a unit counts as one, because a
    timeout of 0 would have passed already.
    """
    for unit, units_a_second in ((b"u", 1_000_000), (b"m", 1000), (b"S", 1)):
        count = math.ceil(timeout_s * units_a_second)
        if count <= _TIMEOUT_MAX:
            return b"%d%b" % (max(count, 1), unit)
    return b"%dH" % min(math.ceil(timeout_s / 3600), _TIMEOUT_MAX)
