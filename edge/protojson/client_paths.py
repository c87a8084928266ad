"""Paths of fields as the client spells them.

Rules and services name fields as the contract does, `order.unit_price`. A client that writes JSON knows them as
`order.unitPrice`, unless it wrote the contract's name itself.
"""

import re
from collections.abc import Collection

from protobuf import DescField, DescMessage

from edge.protojson.fields import declared, find
from mesh.contract.descriptors import inner_message
from mesh.errors import FieldViolation

_PART = re.compile(r'\.?(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<subscript>\[(?:"(?:[^"\\]|\\.)*"|[^\]"]*)\])')


def json_path(fields: tuple[DescField, ...]) -> str:
    """Returns the path of nested fields by their JSON names."""
    return ".".join(field.json_name for field in fields)


def proto_path(fields: tuple[DescField, ...]) -> str:
    """Returns the path of nested fields by their proto names. Unlike JSON names these hold no dots and are unique."""
    return ".".join(field.name for field in fields)


def as_client_writes(violation: FieldViolation, request: DescMessage, own_names: Collection[str]) -> FieldViolation:
    """The violation with its path as the client spells it; a path that is none of the request's is left as it is.

    `own_names` are the contract's names that the client used itself.
    """
    spelled, at = "", 0
    message: DescMessage | None = request
    while at < len(violation.field):
        part = _PART.match(violation.field, at)
        if part is None:
            return violation
        if part["name"]:
            field = declared(message, part["name"]) if message is not None else None
            if field is None and message is not None:
                field = find(message, part["name"])  # some services name fields as JSON does
            if field is None or message is None:
                return violation
            is_own = field.name in own_names and find(message, field.name) is field
            name = field.name if is_own else field.json_name
            spelled += f".{name}" if spelled else name
            message = inner_message(field)
        else:
            spelled += part["subscript"]
        at = part.end()
    return FieldViolation(spelled, violation.description, violation.reason)
