"""Replies with a complete body."""

from dataclasses import dataclass

from edge.http.headers import Headers


@dataclass(slots=True)
class Reply:
    """An HTTP reply with a complete body."""

    status: int
    headers: Headers
    body: bytes = b""
