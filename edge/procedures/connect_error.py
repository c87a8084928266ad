"""Errors as Connect has them in JSON: {"code", "message", "details"}."""

import base64
import json
from typing import Any

from googleapis.google.rpc.status_pb import Status
from protobuf import Registry
from protobuf.wkt import Any as Packed

from mesh.errors import Code

# The only code that Connect spells otherwise.
_CANCELLED = "canceled"


def to_json(status: Status, registry: Registry) -> dict[str, Any]:
    """The error of a status. `registry` knows the types of its details."""
    code = Code(status.code)
    shape: dict[str, Any] = {"code": _CANCELLED if code is Code.CANCELLED else code.name.lower()}
    if status.message:
        shape["message"] = status.message
    if status.details:
        shape["details"] = [_detail(detail, registry) for detail in status.details]
    return shape


def _detail(detail: Packed, registry: Registry) -> dict[str, Any]:
    type_name = detail.type_url.rpartition("/")[2]
    value = base64.b64encode(detail.value).rstrip(b"=").decode()
    return {"type": type_name, "value": value, **_debug(detail, type_name, registry)}


def _debug(detail: Packed, type_name: str, registry: Registry) -> dict[str, Any]:
    """The detail for those who read the wire, if its type is known here."""
    desc = registry.message(type_name)
    if desc is None:
        return {}
    try:
        return {"debug": json.loads(desc.type.from_binary(detail.value).to_json(registry=registry))}
    except (ValueError, KeyError, EOFError, RecursionError):
        return {}
