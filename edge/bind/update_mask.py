"""Update masks: from the names that clients write to those that the contract declares.

ProtoJSON writes a path as the lowerCamelCase of proto names, which is the JSON name of a field unless the contract
declares another one. Clients know a field by its JSON name. A path is therefore looked up in the resource, first by
JSON names. That also restores names that do not survive the conversion, such as `a_1`, whose JSON name is `a1`.
"""

from protobuf import DescField, DescFieldValueMessage, DescMessage

from edge.protojson.fields import find_by_proto_name
from edge.protojson.well_known import to_snake_case


def declared_path(path: str, resource: DescMessage) -> str:
    """Returns the path with proto names. A part that names no field of the resource stays as it is."""
    names = path.split(".")
    message: DescMessage | None = resource
    for at, name in enumerate(names):
        field = _find(message, name) if message is not None else None
        if field is None:
            break
        names[at] = field.name
        message = field.value.message if isinstance(field.value, DescFieldValueMessage) else None
    return ".".join(names)


def _find(message: DescMessage, name: str) -> DescField | None:
    by_json_name = next((field for field in message.fields if to_snake_case(field.json_name) == name), None)
    return by_json_name if by_json_name is not None else find_by_proto_name(message, name)
