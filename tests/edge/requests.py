"""Requests without a connection."""

from collections.abc import MutableMapping
from typing import Any

from edge.http.request import Request


def request_of(method: str, headers: dict[bytes, bytes], query: bytes = b"") -> Request:
    """Returns a request to the root without a body."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "raw_path": b"/",
        "query_string": query,
        "headers": list(headers.items()),
        "client": None,
        "state": {},
    }
    return Request.of(scope, _nothing)


async def _nothing() -> MutableMapping[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}
