"""Fields that clients can't tell apart by name, found in the messages that rules reach."""

from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from edge.contracts.types import json_name
from edge.rule_checks import Messages


def clashes(roots: Iterable[str], messages: Messages) -> Iterator[tuple[str, str]]:
    """Returns each message, of these types and those that they hold, with what is doubtful about a name in it."""
    waiting = list(dict.fromkeys(roots))
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        message = messages.get(name)
        if message is None:
            continue
        yield from ((name, why) for why in _in_message(message))
        held = dict.fromkeys(field.type_name[1:] for field in message.field if field.type_name)
        new = [each for each in held if each not in seen]
        seen.update(new)
        waiting += new


def _in_message(message: DescriptorProto) -> Iterator[str]:
    by_json_name: dict[str, FieldDescriptorProto] = {}
    for field in message.field:
        name = _json_name(field)
        if (first := by_json_name.setdefault(name, field)) is not field:
            yield f"{first.name} and {field.name} are both {name!r} in JSON, which means {first.name}; rename one there"
    for field in message.field:
        other = by_json_name.get(field.name)
        if other is not None and other is not field and other.name != field.name:
            why = f"{field.name!r} means {other.name}, whose json_name it is, wherever clients write it"
            yield f"{why}; the field {field.name} is {_json_name(field)!r} there"


def _json_name(field: FieldDescriptorProto) -> str:
    return field.json_name or json_name(field.name)
