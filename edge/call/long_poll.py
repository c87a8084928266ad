"""Long-polling calls, which wait for an event."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from edge.http.connection import Connection
from edge.http.draining import shutdown_error
from mesh.background import is_cancelling

T = TypeVar("T")


async def until_drain(connection: Connection, call: Coroutine[Any, Any, T]) -> T:
    """Returns the result of a call. Cancels it and raises Unavailable if the server starts to drain first."""
    task = asyncio.create_task(call)

    def stop() -> None:
        task.cancel()

    with connection.on_drain(stop):
        try:
            return await task
        except asyncio.CancelledError:
            if is_cancelling():
                raise
            raise shutdown_error() from None
