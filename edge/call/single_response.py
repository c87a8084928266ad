"""The reply to a unary call as a stream of responses."""

from collections.abc import AsyncIterator

from mesh.client import UnaryReply
from mesh.errors import Metadata


class SingleResponse:
    """A stream of one response, which has already arrived."""

    def __init__(self, answer: UnaryReply) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._answer.message

    async def initial_metadata(self) -> Metadata:
        """Returns the metadata before the message."""
        return self._answer.initial_metadata

    async def trailing_metadata(self) -> Metadata:
        """Returns the metadata after the message."""
        return self._answer.trailing_metadata
