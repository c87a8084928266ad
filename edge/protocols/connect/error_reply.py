"""Errors in Connect's JSON: https://connectrpc.com/docs/protocol#error-end-stream."""

import base64
import json
from typing import Any, Final

from googleapis.google.rpc.status_pb import Status
from protobuf import Registry
from protobuf.wkt import Any as Packed

from edge.http.errors import HTTP_STATUS, error_headers, http_status
from edge.http.reply import Reply
from edge.http.request import Request
from edge.protocols.rpc.status import rpc_code, rpc_status
from edge.protojson.writer import DECODE_ERRORS, to_value
from mesh.errors import Code, MeshError

# HTTP statuses that say more than the one of the RPC code.
_SPECIFIC_STATUSES: Final = (404, 405, 415)

# The only code that Connect spells differently from gRPC.
_CANCELLED = "canceled"


def to_json(status: Status, registry: Registry) -> dict[str, Any]:
    """Returns the JSON of a status: {"code", "message", "details"}. `registry` has the types of its details."""
    code = Code(status.code)
    shape: dict[str, Any] = {"code": _CANCELLED if code is Code.CANCELLED else code.name.lower()}
    if status.message:
        shape["message"] = status.message
    if status.details:
        shape["details"] = [_detail(detail, registry) for detail in status.details]
    return shape


def reply(error: MeshError, request: Request, details: Registry) -> Reply:
    """Returns the reply to a request that failed before the response started."""
    headers = [(b"content-type", b"application/json"), *error_headers(error, request.auth_scheme())]
    status = http_status(error)
    if status not in _SPECIFIC_STATUSES:
        status = HTTP_STATUS[rpc_code(error)]
    shape = to_json(rpc_status(error), details)
    return Reply(status, headers, json.dumps(shape, ensure_ascii=False).encode(errors="replace"))


def _detail(detail: Packed, registry: Registry) -> dict[str, Any]:
    type_name = detail.type_url.rpartition("/")[2]
    value = base64.b64encode(detail.value).rstrip(b"=").decode()
    return {"type": type_name, "value": value, **_debug(detail, type_name, registry)}


def _debug(detail: Packed, type_name: str, registry: Registry) -> dict[str, Any]:
    """Returns the JSON of a detail, for debugging, or nothing if the type is unknown or the detail is corrupt."""
    desc = registry.message(type_name)
    if desc is None:
        return {}
    try:
        return {"debug": to_value(desc.type.from_binary(detail.value), registry)}
    except DECODE_ERRORS:
        return {}
