"""The errors of NATS's client library, and the error that callers get for them."""

from typing import Final

import nats.errors
import structlog

from mesh.errors import Unavailable

log = structlog.get_logger()

FAILURES: Final = (nats.errors.Error, OSError)  # TimeoutError included


def unavailable(error: BaseException) -> Unavailable:
    """Returns the error of a broker that rejects a request or does not answer."""
    log.debug("NATS error", error=f"{type(error).__name__}: {error}")
    return Unavailable(
        f"The message broker rejects the request or does not answer ({type(error).__name__}).",
        reason="BROKER_UNAVAILABLE",
    )
