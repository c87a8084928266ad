"""An HTTP reply."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from edge.http.headers import Headers


@dataclass(slots=True)
class Reply:
    """An HTTP reply. A body that is not known as a whole comes in pieces, each of which is sent at once; whoever makes
    them takes care of what goes wrong after the first.
    """

    status: int
    headers: Headers
    body: bytes | AsyncGenerator[bytes, None]
