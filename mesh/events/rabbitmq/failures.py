"""The errors of RabbitMQ's client library, and the error that callers get for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from aio_pika.exceptions import AMQPError

from mesh.background import uncancelled
from mesh.errors import Unavailable

log = structlog.get_logger()

# OSError includes TimeoutError. RuntimeError is what aiormq raises for a connection or channel that is closed.
FAILURES: Final = (AMQPError, OSError, RuntimeError)


@contextmanager
def translated_failures() -> Iterator[None]:
    """Raises Unavailable in the place of FAILURES: the broker rejects a request or does not answer."""
    try:
        with uncancelled():
            yield
    except FAILURES as error:
        log.debug("RabbitMQ error", error=f"{type(error).__name__}: {error}")
        raise Unavailable(
            f"The message broker rejects the request or does not answer ({type(error).__name__}).",
            reason="BROKER_UNAVAILABLE",
        ) from error
