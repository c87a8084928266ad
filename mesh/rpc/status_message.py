"""The text of a status as gRPC's header grpc-message: Status-Message in PROTOCOL-HTTP2.md."""

import re
from typing import Final
from urllib.parse import quote

_PLAIN: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
"""The characters that are not encoded: printable ASCII without the percent sign."""

_OUTER_SPACE = re.compile(r"\A | \Z")
"""Clients drop a value that begins or ends with a space, or the space: RFC 9113, section 8.2.1."""


def encode(text: str) -> bytes:
    """Returns the text, percent-encoded."""
    return _OUTER_SPACE.sub("%20", quote(text, safe=_PLAIN)).encode("ascii")
