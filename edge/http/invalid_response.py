"""Responses of services that are not what their contract says."""

import structlog

from edge.http.errors import HttpError

log = structlog.get_logger()


def invalid_response(rpc: str, cause: Exception | None = None) -> HttpError:
    """Logs that a service sent an invalid response, and returns the error 502 for the client."""
    log.error("a service sent an invalid response", rpc=rpc, exc_info=cause)
    return HttpError(502, "The service sent an invalid response.", "BAD_RESPONSE")
