"""Identifiers of requests."""

from collections.abc import Mapping
from typing import Final

from mesh.telemetry import correlation

REQUEST_ID: Final = correlation.REQUEST_ID


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """Returns the client's request id if it is safe to log, otherwise a new one."""
    return correlation.safe_request_id(headers.get(REQUEST_ID.encode(), b"").decode("latin-1"))
