"""The ids that connect the log lines of one request in all processes: request_id and trace_id.

A request id comes with the request (x-request-id), or the first process that receives the request generates it. It is
sent with every call and event that the request causes, and returned to the client. The trace id is that of W3C Trace
Context; without one it is derived from the request id, so that all processes have the same.
"""

import hashlib
import random
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog

from mesh.telemetry import tracing

REQUEST_ID = "x-request-id"

_SAFE = re.compile(r"[A-Za-z0-9_.:/+=\-]{1,128}")
_TRACE_ID = re.compile(r"[0-9a-f]{32}")


def is_safe(request_id: str) -> bool:
    """Returns whether an id is safe to use in headers and logs."""
    return _SAFE.fullmatch(request_id) is not None


def safe_request_id(given: str) -> str:
    """Returns the given id if it is safe, else a new one."""
    return given if is_safe(given) else f"{random.getrandbits(128):032x}"  # not a secret


def request_id() -> str:
    """Returns the id of the request that the current context belongs to, empty if there is none."""
    found: str = structlog.contextvars.get_contextvars().get("request_id", "")
    return found


def bind(request_id: str, headers: Mapping[str, str]) -> None:
    """Adds the ids to every log line of the current context, until it ends: for a task that serves one request.
    `headers`, with names in lower case, may hold a traceparent.
    """
    structlog.contextvars.bind_contextvars(request_id=request_id, trace_id=_trace_id(request_id, headers))


@contextmanager
def bound(request_id: str, headers: Mapping[str, str], **facts: str) -> Iterator[None]:
    """Adds the ids, and more fields, to every log line in this block: for a task that serves many requests."""
    ids = {"request_id": request_id, "trace_id": _trace_id(request_id, headers)}
    with structlog.contextvars.bound_contextvars(**ids, **facts):
        yield


def _trace_id(request_id: str, headers: Mapping[str, str]) -> str:
    if given := tracing.trace_id(headers):
        return given
    if _TRACE_ID.fullmatch(request_id):
        return request_id
    return hashlib.blake2b(request_id.encode(), digest_size=16).hexdigest()
