"""The reply to a unary call as a stream of responses."""

from collections.abc import AsyncIterator

from mesh.client import UnaryResponse
from mesh.errors import Metadata


class SingleResponse:
    """A stream of one response, which has already arrived."""

    def __init__(self, response: UnaryResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._response.message

    async def initial_metadata(self) -> Metadata:
        """Returns the metadata before the message."""
        return self._response.initial_metadata

    async def trailing_metadata(self) -> Metadata:
        """Returns the metadata after the message."""
        return self._response.trailing_metadata
