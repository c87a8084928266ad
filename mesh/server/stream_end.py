"""The end of a client's stream."""

import asyncio

import grpc.aio


class StreamEnd:
    """The end of a client's stream. grpc.aio reports the end of a complete stream and that of a call that was cancelled
    or lost alike, and cancels the task of the call only later. Until then a handler would take the part of the stream
    that has arrived for all of it, and commit it.
    """

    def __init__(self, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        """The current task must be that of the call."""
        task = asyncio.current_task()
        assert task is not None
        self._context = context
        self._task = task

    async def confirm(self) -> None:
        """Returns if the client ended its stream itself. Raises CancelledError if the call was cancelled or lost."""
        # One more read ends at once in either case. gRPC takes the steps of a call one after the other: a call that was
        # reset has reported so, which cancels its task, before this read ends.
        await self._context.read()
        # A handler may read in a task of its own, which grpc.aio does not cancel.
        if self._task.cancelling():
            raise asyncio.CancelledError
