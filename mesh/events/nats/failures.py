"""The errors of NATS' client, and the one that callers get instead."""

from typing import Final

import nats.errors
import structlog

from mesh.errors import Unavailable

log = structlog.get_logger()

FAILURES: Final = (nats.errors.Error, OSError)  # TimeoutError included


def unavailable(error: BaseException) -> Unavailable:
    """Returns the error of a broker that refuses or does not answer."""
    log.debug("NATS error", error=f"{type(error).__name__}: {error}")
    return Unavailable(
        f"The message broker refuses or does not answer ({type(error).__name__}).", reason="BROKER_UNAVAILABLE"
    )
