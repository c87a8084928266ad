"""The audit log: security events, each one line in the log of its process, regardless of LOG_LEVEL.

docs/operations.md lists the events and their fields. No password, secret or token is ever logged.
"""

import sys
from typing import Any

import structlog

from mesh.errors import MeshError, PermissionDenied
from mesh.identity.token_errors import INVALID, REVOKED
from mesh.rpc import Call
from mesh.telemetry.log_output import LogOutput

# Wrapped without a level filter: the audit log must not depend on LOG_LEVEL. Its output never raises: what is recorded
# is done, and its caller would repeat it after an error.
_log: Any = structlog.wrap_logger(LogOutput(sys.stderr), wrapper_class=structlog.BoundLogger)


def record(event: str, call: Call | None = None, *, account: str = "", **fields: object) -> None:
    """Logs a security event. `account` is "users/…" or "workloads/…", or empty if it is not known; it defaults to the
    caller of the call.
    """
    if call is not None:
        account = account or call.caller.subject
        fields = {"client": call.client_address} | fields
    _log.info(event, logger="audit", account=account, **fields)


def record_change(call: Call, request: object, response: object, *, outcome: str) -> None:
    """Logs a call that has ended, with the resource in its response, or else the one that its request names."""
    named = (getattr(response, "name", ""), getattr(request, "name", ""), getattr(request, "parent", ""))
    record("change", call, method=call.path, resource=next(filter(None, named), ""), outcome=outcome)


def record_refusal(error: MeshError, *, method: str, account: str, client: str) -> None:
    """Logs a call that was refused because its caller lacks permission or its token is invalid or revoked. Missing and
    expired tokens are routine and are not logged.
    """
    if isinstance(error, PermissionDenied) or error.reason in (INVALID, REVOKED):
        fields: dict[str, Any] = {"method": method, "client": client, **error.metadata}
        record("access_refused", account=account, **fields | {"reason": error.reason})
