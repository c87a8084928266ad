"""A streaming call: its requests and its responses, as bytes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, Self

import grpc
import grpc.aio

from mesh.client.failures import deadline_exceeded, unavailable
from mesh.errors import MeshError, Metadata


class Stream:
    """The responses of a workload, as bytes: an asynchronous iterator. It raises the MeshError that the call ended
    with, or the exception that ended the requests.
    """

    def __init__(
        self,
        call: "grpc.aio.StreamStreamCall[bytes, bytes]",
        sending: asyncio.Task[None],
        begun: Callable[[], None],
        failure: Callable[[grpc.aio.AioRpcError], MeshError],
    ) -> None:
        """Reads the responses of a call. `begun` is called at the first message; `failure` converts the error that the
        call ends with.
        """
        self._call = call
        self._messages = aiter(call)
        self._sending = sending
        self._begun: Callable[[], None] | None = begun
        self._failure = failure
        self._is_overdue = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        try:
            message = await anext(self._messages)
        except grpc.aio.AioRpcError as error:
            raise self._failure(error) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # The call was cancelled, not this task: by stop(), by a failure of the requests, or by closing the channel.
            if self._is_overdue:
                raise deadline_exceeded() from None
            if self._sending.done() and (cause := _ended_by(self._sending)) is not None:
                raise cause from None
            raise unavailable() from None
        if self._begun is not None:
            self._begun()
            self._begun = None
        return message

    def stop(self) -> None:
        """Cancels the call because its caller's patience has run out."""
        if not self._call.done():
            self._is_overdue = True
            self._call.cancel()

    async def initial_metadata(self) -> Metadata:
        """Waits for the metadata before the first message, and returns it."""
        return tuple(await self._call.initial_metadata())

    async def trailing_metadata(self) -> Metadata:
        """Waits for the end of the call, and returns the metadata after the last message."""
        return tuple(await self._call.trailing_metadata())


async def send_requests(call: "grpc.aio.StreamStreamCall[bytes, bytes]", requests: AsyncIterable[bytes]) -> None:
    """Sends the requests. An exception that they raise cancels the call.

    Messages bypass call.write(): if one is written after the call has ended, that reports an internal error instead
    of the status that the workload sent.
    """
    raw: Any = call
    source = aiter(requests)
    try:
        async for request in source:
            await call.wait_for_connection()
            await raw._cython_call.send_serialized_message(request)
        await call.done_writing()
    except (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
        return  # The call is over; its status is raised to the reader of the responses.
    except BaseException:
        call.cancel()
        raise
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def _ended_by(sending: asyncio.Task[None]) -> BaseException | None:
    """Returns the exception that ended the requests, or None."""
    return None if sending.cancelled() else sending.exception()
