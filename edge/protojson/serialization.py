"""From a message to its bytes, where that is not possible to the violations that say why."""

from typing import Any, Final

from protobuf import DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage, Message

from edge.protojson.problems import MISSING, InvalidValue, MapKey, Place, Problems

_REQUIRED: Final = "LEGACY_REQUIRED"


def to_bytes(message: Message, place: Place, problems: Problems) -> Any:
    """The message on the wire, or MISSING: proto2 requires a field that is not there, or it is nested more deeply than
    Protobuf's parsers take, for each level of a google.protobuf.Struct is two or three on the wire.
    """
    try:
        return message.to_binary()
    except RecursionError:
        problems.add_at(place, InvalidValue("is nested too deeply", "NESTED_TOO_DEEPLY"))
    except ValueError:
        _note_required(message, place, problems)
    return MISSING


def _note_required(message: Message, place: Place, problems: Problems) -> None:
    depth = place[2] + 1
    for field in message.desc().fields:
        at = (place, field.json_name, depth)
        if field not in message:
            if field.presence.name == _REQUIRED:
                problems.add_at(at, InvalidValue("is required", "REQUIRED"))
            continue
        match field.value:
            case DescFieldValueMessage():
                _note_required(message[field], at, problems)
            case DescFieldValueList(element=DescMessage()):
                for index, item in enumerate(message[field]):
                    _note_required(item, (at, index, depth), problems)
            case DescFieldValueMap(value=DescMessage()):
                for key, item in message[field].items():
                    _note_required(item, (at, MapKey(key), depth), problems)
