"""Masks of updates and reads: from the names that clients write to those that the contract declares.

ProtoJSON writes a path as the lowerCamelCase of proto names, which is the JSON name of a field unless the contract
declares another one. Clients know a field by its JSON name. A path is therefore looked up in the resource, first by
JSON names. That also restores names that do not survive the conversion, such as `a_1`, whose JSON name is `a1`.

Only parts that name fields are looked up. The keys of maps and of Structs are data (AIP-161).
"""

from functools import lru_cache
from typing import Final

from protobuf import DescField, DescFieldValueList, DescFieldValueMessage, DescMessage

from edge.protojson.any_and_struct import ANY, LIST_VALUE, STRUCT, VALUE
from edge.protojson.well_known import MaskPath, to_snake_case
from mesh.contract.descriptors import inner_message
from mesh.field_mask import path_parts

REMEMBERED_MAX: Final = 256
"""How many messages have their names in memory: a mask may have a hundred thousand paths."""

_WITHOUT_FIELDS: Final = frozenset({ANY, LIST_VALUE, STRUCT, VALUE})


def read_resources(response: DescMessage) -> tuple[DescMessage, ...]:
    """Returns the messages that the mask of a read may apply to: the response, or the resources that it lists."""
    lists = (field.value.element for field in response.fields if isinstance(field.value, DescFieldValueList))
    return response, *(element for element in lists if isinstance(element, DescMessage))


def declared_path_in_any(path: str, resources: tuple[DescMessage, ...]) -> str:
    """Returns the path with proto names, in the first of these messages that has its first field."""
    first = to_snake_case(_parts(path)[0])
    resource = next((each for each in resources if first in _fields(each)), resources[0])
    return declared_path(path, resource)


def declared_path(path: str, resource: DescMessage) -> str:
    """Returns the path with proto names. From a name that is no field of its message on, it is only in snake_case."""
    parts = _parts(path)
    at: DescMessage | DescField | None = resource  # the message whose field, or the map whose key, the next part is
    for index, part in enumerate(parts):
        if isinstance(at, DescMessage):
            field = _fields(at).get(to_snake_case(part))
            if field is None:
                parts[index:] = map(to_snake_case, parts[index:])
                break
            parts[index] = field.name
            at = _message(field) if isinstance(field.value, DescFieldValueMessage) else field
        elif at is not None:
            at = _message(at)
    return ".".join(parts)


def _parts(path: str) -> list[str]:
    """Returns the parts of a path as the client wrote them."""
    return path_parts(path.written if isinstance(path, MaskPath) else path)


def _message(field: DescField) -> DescMessage | None:
    """Returns the message that a field or its entries hold, None if no part of a path can name a field of it."""
    message = inner_message(field)
    return message if message is not None and message.type_name not in _WITHOUT_FIELDS else None


@lru_cache(REMEMBERED_MAX)
def _fields(message: DescMessage) -> dict[str, DescField]:
    """Returns the fields by their names in snake_case: JSON names have precedence over proto names."""
    by_json_name = {to_snake_case(field.json_name): field for field in reversed(message.fields)}
    return {field.name: field for field in message.fields} | by_json_name
