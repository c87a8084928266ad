"""A streaming call: its requests and its responses, as bytes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Self

from mesh.client.failures import unavailable
from mesh.client.transport import StreamCall
from mesh.errors import Code, MeshError, Metadata
from mesh.rpc.call_error import CallError


class Stream:
    """The responses of a workload, as bytes: an asynchronous iterator. It raises the MeshError that the call ended
    with, or the exception that ended the requests.
    """

    def __init__(
        self,
        call: StreamCall,
        sending: asyncio.Task[None],
        begun: Callable[[], None],
        failure: Callable[[CallError], MeshError],
    ) -> None:
        """Reads the responses of a call. `begun` is called at the first message; `failure` converts the error that the
        call ends with.
        """
        self._call = call
        self._sending = sending
        self._begun: Callable[[], None] | None = begun
        self._failure = failure
        self._stopped_by: MeshError | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            message = await self._call.receive()
        except CallError as error:
            raise self._cause(error) from error
        if message is None:
            raise StopAsyncIteration
        if self._begun is not None:
            self._begun()
            self._begun = None
        return message

    def stop(self, why: MeshError) -> None:
        """Cancels the call, unless it has ended. The reader of the responses gets this error."""
        if not self._call.is_done():
            self._stopped_by = why
            self._call.cancel()

    async def initial_metadata(self) -> Metadata:
        """Waits for the metadata before the first message, and returns it."""
        return await self._call.initial_metadata()

    async def trailing_metadata(self) -> Metadata:
        """Waits for the end of the call, and returns the metadata after the last message."""
        return await self._call.trailing_metadata()

    def _cause(self, error: CallError) -> BaseException:
        """Returns the exception for the reader of a call that has failed."""
        if error.is_sent or error.code is not Code.CANCELLED:
            return self._failure(error)
        # The call was cancelled here: by stop(), by a failure of the requests, or by closing the channel.
        if (why := self._stopped_by) is not None:
            self._stopped_by = None  # frames of its traceback will refer to this stream
            return why
        if self._sending.done() and (cause := _ended_by(self._sending)) is not None:
            return cause
        return unavailable()


async def send_requests(call: StreamCall, requests: AsyncIterable[bytes]) -> None:
    """Sends the requests. An exception that they raise cancels the call."""
    source = aiter(requests)
    try:
        async for request in source:
            if not await call.send(request):
                return  # its status is raised to the reader of the responses
        await call.finish_sending()
    except BaseException:
        call.cancel()
        raise
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def _ended_by(sending: asyncio.Task[None]) -> BaseException | None:
    """Returns the exception that ended the requests, or None."""
    return None if sending.cancelled() else sending.exception()
