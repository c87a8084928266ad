"""What of a failed call's status is not passed on but logged: texts that no service wrote for its callers.

A service that means what it says sends a google.rpc.Status (mesh.rpc.status). A bare code and text is what libraries
and crashed handlers make, with addresses, queries and stack traces in it.
"""

import re
from collections.abc import Iterable
from typing import Final

import structlog
from googleapis.google.rpc.error_details_pb import DebugInfo
from googleapis.google.rpc.status_pb import Status

from mesh.errors import Code, MeshError

log = structlog.get_logger()

TEXT_LENGTH_MAX: Final = 2000

OPAQUE: Final = frozenset({Code.UNKNOWN, Code.INTERNAL, Code.DATA_LOSS, Code.UNAVAILABLE})
"""The codes that libraries and crashes end calls with. The texts of others are taken for a service's own."""

_DEBUG_INFO: Final = "/google.rpc.DebugInfo"

# How the texts of gRPC's libraries look: of connections, and of handlers that crashed (in Python). Nothing else in a
# status tells who wrote it.
_BY_LIBRARY = re.compile(
    r"ipv[46]:|unix:|vsock:|dns:|failed to connect|last error|recvmsg|sendmsg|socket closed|broken pipe|endpoint"
    r"|connection (?:reset|refused|dropped|timed out|attempt)|goaway|rst_stream|stream removed|keepalive|too_many_pings"
    r"|(?:name|dns) resolution|cancelling all calls|unexpected <class|exception (?:calling|iterating|deserializing)",
    re.IGNORECASE,
)


def is_deliberate(status: Status) -> bool:
    """Whether a service wrote this status for its callers. DebugInfo is what frameworks add to a crash: a status of
    one of the codes of crashes that has nothing else does not count.
    """
    others = [detail for detail in status.details if not detail.type_url.endswith(_DEBUG_INFO)]
    return bool(others) or not status.details or status.code not in OPAQUE


def by_library(text: str) -> bool:
    """Whether gRPC's libraries wrote this text."""
    return _BY_LIBRARY.search(text) is not None


def log_withheld(workload: str, path: str, failure: MeshError, text: str, status: bytes) -> None:
    """Logs what callers are not told of the call of `path`: the text, if the failure has another one, and the
    DebugInfo of the google.rpc.Status that came with it, if one did.
    """
    debug = list(_debug_infos(status))
    is_replaced = failure.code in OPAQUE and text not in ("", failure.message) and not failure.received_status
    if not is_replaced and not debug:
        return
    shown = {"text": text[:TEXT_LENGTH_MAX]} if is_replaced else {}
    if debug:
        shown["debug"] = "\n".join(debug)[:TEXT_LENGTH_MAX]
    log.warning("withheld a service's words", workload=workload, rpc=path, code=failure.code.name, **shown)


def _debug_infos(status: bytes) -> Iterable[str]:
    """The texts of each DebugInfo in a google.rpc.Status that may be damaged."""
    if b"google.rpc.DebugInfo" not in status:
        return
    try:
        found = [info for detail in Status.from_binary(status).details if (info := detail.unpack(DebugInfo))]
    except (ValueError, EOFError):
        return
    for info in found:
        yield "\n".join([info.detail, *info.stack_entries])
