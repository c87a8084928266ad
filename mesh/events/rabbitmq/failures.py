"""The errors of RabbitMQ's client library, and the error that callers get for them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from aio_pika.exceptions import AMQPError

from mesh.errors import Unavailable

log = structlog.get_logger()

# OSError includes TimeoutError. RuntimeError is what aiormq raises for a connection or channel that is closed.
FAILURES: Final = (AMQPError, OSError, RuntimeError)


@contextmanager
def lost_connections() -> Iterator[None]:
    """Raises ConnectionError, one of FAILURES, in the place of a CancelledError that nobody asked for.

    Whoever waits for RabbitMQ on a connection that has fallen silent gets one from aiormq, although the task was not
    cancelled: it would end, and with it the worker that it belongs to.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection was lost") from error


@contextmanager
def translated_failures() -> Iterator[None]:
    """Raises Unavailable in the place of FAILURES: the broker rejects a request or does not answer."""
    try:
        with lost_connections():
            yield
    except FAILURES as error:
        log.debug("RabbitMQ error", error=f"{type(error).__name__}: {error}")
        raise Unavailable(
            f"The message broker rejects the request or does not answer ({type(error).__name__}).",
            reason="BROKER_UNAVAILABLE",
        ) from error
