"""The message of a Connect call by GET: https://connectrpc.com/docs/protocol#unary-get-request."""

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Final

from edge.bind.query_string import split_query
from edge.protocols.connect.request_headers import check_version
from edge.protocols.rpc import coding
from edge.protojson.violations import Violations
from mesh.errors import InvalidArgument

_NAMES: Final = ("message", "encoding", "base64", "compression", "connect")
_BASE64 = re.compile(r"([A-Za-z0-9_-]*)(={0,2})")


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """The parameters of a query: the name of the codec, the message in it, and the coding that it is compressed in."""

    codec: str
    content: bytes
    coding: str


def parse(query: bytes) -> MessageQuery:
    """Parses a query, whose other parameters are ignored. Raises InvalidArgument if it is malformed, Unimplemented if
    the compression is not supported.
    """
    given = _parameters(query)
    check_version(given.get("connect", "v1").encode(), b"v1")
    for name in ("encoding", "message"):
        if name not in given:
            raise InvalidArgument(f"The parameter {name} is missing.", reason="MALFORMED_QUERY")
    content = _bytes(given["message"]) if given.get("base64") == "1" else given["message"].encode()
    return MessageQuery(given["encoding"], content, coding.parse(given.get("compression", "").encode()))


def _parameters(query: bytes) -> dict[str, str]:
    violations = Violations()
    given: dict[str, str] = {}
    for name, value in split_query(query, violations):
        if name in given and name in _NAMES:
            raise InvalidArgument(f"The parameter {name} is given more than once.", reason="MALFORMED_QUERY")
        given[name] = value
    violations.raise_if_any()
    return given


def _bytes(text: str) -> bytes:
    """Decodes base64 in the URL-safe alphabet, with or without padding. Raises InvalidArgument."""
    match = _BASE64.fullmatch(text)
    digits, padding = match.groups() if match is not None else ("=", "")
    missing = -len(digits) % 4
    if match is None or missing == 3 or (padding and len(padding) != missing):
        raise InvalidArgument("The parameter message is not URL-safe base64.", reason="MALFORMED_QUERY")
    return urlsafe_b64decode(digits + "=" * missing)
