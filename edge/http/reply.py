"""A reply whose body is known as a whole."""

from dataclasses import dataclass

from edge.http.headers import Headers


@dataclass(slots=True)
class Reply:
    """An HTTP reply."""

    status: int
    headers: Headers
    body: bytes = b""
