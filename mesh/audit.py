"""The audit log: security events, each one line in the log of its process, whatever LOG_LEVEL is.

docs/operations.md lists the events and their fields. No password, secret or token is ever a value.
"""

import sys
from typing import Any

import structlog

from mesh.errors import MeshError, PermissionDenied
from mesh.rpc import Call

# Wrapped without a filter of levels: an auditor's record must not depend on how talkative a process is.
_log: Any = structlog.wrap_logger(structlog.WriteLogger(sys.stderr), wrapper_class=structlog.BoundLogger)


def record(event: str, call: Call | None = None, *, account: str = "", **fields: object) -> None:
    """Writes a security event. `account` is "users/…" or "workloads/…", as far as it is known; without it, it is the
    caller's.
    """
    if call is not None:
        account = account or call.caller.subject
        fields = {"client": call.client_address} | fields
    _log.info(event, logger="audit", account=account, **fields)


def record_refusal(error: MeshError, *, method: str, account: str, client: str) -> None:
    """Writes that a caller may not call a method, or has a token that is not good. Calls without a token and with one
    that has expired are everyday life.
    """
    if isinstance(error, PermissionDenied) or error.reason in ("TOKEN_INVALID", "TOKEN_REVOKED"):
        fields: dict[str, Any] = {"method": method, "client": client, **error.metadata}
        record("access_refused", account=account, **fields | {"reason": error.reason})
