"""Serialization of messages that were read from JSON."""

from typing import Any, Final

from protobuf import DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage, Message

from edge.protojson.violations import INVALID, InvalidValue, Location, MapKey, Violations

_REQUIRED: Final = "LEGACY_REQUIRED"


def to_bytes(message: Message, location: Location, violations: Violations) -> Any:
    """Serializes a message. Returns INVALID and records a violation if a required field of proto2 is absent, or if the
    message is nested more deeply than Protobuf parsers accept: each level of a google.protobuf.Struct is two or three
    levels on the wire.
    """
    try:
        return message.to_binary()
    except RecursionError:
        violations.add_at(location, InvalidValue("is nested too deeply", "NESTED_TOO_DEEPLY"))
    except ValueError:
        _record_missing_fields(message, location, violations)
    return INVALID


def _record_missing_fields(message: Message, location: Location, violations: Violations) -> None:
    depth = location[2] + 1
    for field in message.desc().fields:
        at = (location, field.json_name, depth)
        if field not in message:
            if field.presence.name == _REQUIRED:
                violations.add_at(at, InvalidValue("is required", "REQUIRED"))
            continue
        match field.value:
            case DescFieldValueMessage():
                _record_missing_fields(message[field], at, violations)
            case DescFieldValueList(element=DescMessage()):
                for index, item in enumerate(message[field]):
                    _record_missing_fields(item, (at, index, depth), violations)
            case DescFieldValueMap(value=DescMessage()):
                for key, item in message[field].items():
                    _record_missing_fields(item, (at, MapKey(key), depth), violations)
