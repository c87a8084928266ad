"""The errors of RabbitMQ's client library, and the error that callers get for them."""

from typing import Final

import structlog
from aio_pika.exceptions import AMQPError

from mesh.errors import Unavailable

log = structlog.get_logger()

# OSError includes TimeoutError. RuntimeError is what aiormq raises for a connection or channel that is closed.
FAILURES: Final = (AMQPError, OSError, RuntimeError)


def unavailable(error: BaseException) -> Unavailable:
    """Returns the error of a broker that rejects a request or does not answer."""
    log.debug("RabbitMQ error", error=f"{type(error).__name__}: {error}")
    return Unavailable(
        f"The message broker rejects the request or does not answer ({type(error).__name__}).",
        reason="BROKER_UNAVAILABLE",
    )
