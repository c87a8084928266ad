"""A call that streams: its requests and its responses, as bytes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from typing import Any, Self

import grpc
import grpc.aio

from mesh.client.failures import deadline_exceeded, unavailable
from mesh.errors import MeshError, Metadata


class Stream:
    """The messages that a workload answers with, as bytes: an asynchronous iterator. It raises the MeshError that the
    call ended with, or the exception that ended the requests.
    """

    def __init__(
        self,
        call: "grpc.aio.StreamStreamCall[bytes, bytes]",
        sending: asyncio.Task[None],
        begun: Callable[[], None],
        failure: Callable[[grpc.aio.AioRpcError], MeshError],
    ) -> None:
        """`begun` is called when the first message is there, `failure` makes the error that the call ends with."""
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
            # Not the task was cancelled but the call: by stop(), by what ended the requests, or because its channel was
            # closed.
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
        """Ends the call because its caller waits no longer."""
        if not self._call.done():
            self._is_overdue = True
            self._call.cancel()

    async def initial_metadata(self) -> Metadata:
        """The metadata before the first message; waits for it."""
        return tuple(await self._call.initial_metadata())

    async def trailing_metadata(self) -> Metadata:
        """The metadata after the last message; waits for the end."""
        return tuple(await self._call.trailing_metadata())


async def send_requests(call: "grpc.aio.StreamStreamCall[bytes, bytes]", requests: AsyncIterable[bytes]) -> None:
    """Sends the requests; what ends them early ends the call.

    Messages go past call.write(), which takes one that comes after the call's end for an internal error and puts that
    in the place of the status the workload sends.
    """
    raw: Any = call
    source = aiter(requests)
    try:
        async for request in source:
            await call.wait_for_connection()
            await raw._cython_call.send_serialized_message(request)
        await call.done_writing()
    except (grpc.aio.AioRpcError, grpc.aio.InternalError, asyncio.InvalidStateError):
        return  # The call is over, and its status says why.
    except BaseException:
        call.cancel()
        raise
    finally:
        if isinstance(source, AsyncGenerator):
            await source.aclose()


def _ended_by(sending: asyncio.Task[None]) -> BaseException | None:
    """What ended the requests before the call was over, None if nothing did."""
    return None if sending.cancelled() else sending.exception()
