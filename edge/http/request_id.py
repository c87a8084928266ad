"""The identifier of a request: the client's, or a new one."""

from collections.abc import Mapping
from typing import Final

from mesh.telemetry import correlation

REQUEST_ID: Final = correlation.REQUEST_ID


def request_id(headers: Mapping[bytes, bytes]) -> str:
    """The request's identifier: the client's if it has a sane one, else a new one."""
    return correlation.safe_request_id(headers.get(REQUEST_ID.encode(), b"").decode("latin-1"))
