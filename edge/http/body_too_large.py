"""The error of a body that is larger than its limit."""

from edge.http.errors import HttpError


def body_too_large(limit_bytes: int) -> HttpError:
    """Returns the error 413.

    The connection stays open and discards the rest of the body, because a client that is still sending would miss the
    reply.
    """
    text = f"The body is larger than {limit_bytes} bytes."
    return HttpError(413, text, "BODY_TOO_LARGE", metadata={"limit_bytes": str(limit_bytes)})
