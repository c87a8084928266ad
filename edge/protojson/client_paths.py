"""Field paths in the spelling that the client used.

Validation rules and services use proto names, `order.unit_price`. A client that writes JSON knows the field as
`order.unitPrice`, unless it sent the proto name itself.
"""

import re
from collections.abc import Collection

from protobuf import DescField, DescMessage

from edge.protojson.fields import find_by_proto_name, find_field
from mesh.contract.descriptors import inner_message
from mesh.errors import FieldViolation

_PART = re.compile(r'\.?(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<subscript>\[(?:"(?:[^"\\]|\\.)*"|[^\]"]*)\])')


def json_path(fields: tuple[DescField, ...]) -> str:
    """Returns the path of nested fields in JSON names."""
    return ".".join(field.json_name for field in fields)


def proto_path(fields: tuple[DescField, ...]) -> str:
    """Returns the path of nested fields in proto names, which contain no dots and are unique, unlike JSON names."""
    return ".".join(field.name for field in fields)


def with_client_path(
    violation: FieldViolation, request: DescMessage, proto_names_used: Collection[str]
) -> FieldViolation:
    """Returns the violation with its path in the client's spelling, or unchanged if the path is not in the request.

    `proto_names_used` are the proto names that the client sent instead of JSON names.
    """
    spelled, at = "", 0
    message: DescMessage | None = request
    while at < len(violation.field):
        part = _PART.match(violation.field, at)
        if part is None:
            return violation
        if part["name"]:
            field = find_by_proto_name(message, part["name"]) if message is not None else None
            if field is None and message is not None:
                field = find_field(message, part["name"])  # some services report JSON names
            if field is None or message is None:
                return violation
            is_own = field.name in proto_names_used and find_field(message, field.name) is field
            name = field.name if is_own else field.json_name
            spelled += f".{name}" if spelled else name
            message = inner_message(field)
        else:
            spelled += part["subscript"]
        at = part.end()
    return FieldViolation(spelled, violation.description, violation.reason)
