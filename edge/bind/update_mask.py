"""The paths of an update mask that a client gives, in the names that the contract declares.

ProtoJSON writes a path as the lowerCamelCase of proto names, which is the JSON name of a field unless the contract
gives it another one. Clients know a field by its JSON name. So a path is looked up in the resource that it is about,
first by JSON names. That also restores the names that snake_case loses, such as `a_1`, whose JSON name is `a1`.
"""

from protobuf import DescField, DescFieldValueMessage, DescMessage

from edge.protojson.fields import declared
from edge.protojson.well_known import to_snake_case


def declared_path(path: str, resource: DescMessage) -> str:
    """Returns the path in the names of the contract; what names no field of the resource stays as it is."""
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
    return by_json_name if by_json_name is not None else declared(message, name)
