"""Redaction of errors: messages that no service wrote for its callers are logged, and withheld from callers.

A service sends its errors as google.rpc.Status (mesh.rpc.status). A bare code and message comes from a library or a
crashed handler, and may hold addresses, queries and stack traces.
"""

import re
from collections.abc import Iterable
from typing import Final

import structlog
from googleapis.google.rpc.error_details_pb import DebugInfo
from googleapis.google.rpc.status_pb import Status

from mesh.errors import Code, MeshError
from mesh.rpc.parse_errors import PARSE_ERRORS

log = structlog.get_logger()

TEXT_LENGTH_MAX: Final = 2000

REDACTED_CODES: Final = frozenset({Code.UNKNOWN, Code.INTERNAL, Code.DATA_LOSS, Code.UNAVAILABLE})
"""The codes with which libraries and crashes end calls. Messages with other codes are taken to be the service's own."""

_DEBUG_INFO: Final = "/google.rpc.DebugInfo"

# Typical messages of gRPC's libraries: about connections, and about crashed handlers (in Python). Nothing else in a
# status shows where it comes from.
_BY_LIBRARY = re.compile(
    r"ipv[46]:|unix:|vsock:|dns:|failed to connect|last error|recvmsg|sendmsg|socket closed|broken pipe|endpoint"
    r"|connection (?:reset|refused|dropped|timed out|attempt)|goaway|rst_stream|stream removed|keepalive|too_many_pings"
    r"|(?:name|dns) resolution|cancelling all calls|unexpected <class|exception (?:calling|iterating|deserializing)",
    re.IGNORECASE,
)


def is_for_callers(status: Status) -> bool:
    """Returns whether a service wrote this status for its callers. Frameworks add DebugInfo to a crash: a status with
    nothing but that and the code of a crash is not for callers.
    """
    others = [detail for detail in status.details if not detail.type_url.endswith(_DEBUG_INFO)]
    return bool(others) or not status.details or status.code not in REDACTED_CODES


def is_library_message(text: str) -> bool:
    """Returns whether this is a message of gRPC's libraries."""
    return _BY_LIBRARY.search(text) is not None


def log_redacted(workload: str, path: str, failure: MeshError, text: str, status: bytes) -> None:
    """Logs the details of a failed call that are withheld from its caller: the original message, if the failure has
    another one, and the DebugInfo in the google.rpc.Status, if there is any.
    """
    debug = list(_debug_infos(status))
    is_replaced = failure.code in REDACTED_CODES and text not in ("", failure.message) and not failure.received_status
    if not is_replaced and not debug:
        return
    shown = {"text": text[:TEXT_LENGTH_MAX]} if is_replaced else {}
    if debug:
        shown["debug"] = "\n".join(debug)[:TEXT_LENGTH_MAX]
    log.warning("error details withheld from the caller", workload=workload, rpc=path, code=failure.code.name, **shown)


def _debug_infos(status: bytes) -> Iterable[str]:
    """Yields the text of each DebugInfo in a google.rpc.Status; yields nothing if that is damaged."""
    if b"google.rpc.DebugInfo" not in status:
        return
    try:
        found = [info for detail in Status.from_binary(status).details if (info := detail.unpack(DebugInfo))]
    except PARSE_ERRORS:
        return
    for info in found:
        yield "\n".join([info.detail, *info.stack_entries])
