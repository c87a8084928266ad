"""The largest size of a message that is valid by the rules of its contract.

It is the size as JSON, which is never smaller than the binary form: with every character escaped, every number in full.
"""

from typing import Final

from protobuf import (
    DescEnum,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    ScalarType,
)
from protovalidate._gen.buf.validate.validate_pb import FieldRules

from mesh.contract.rules import element_rules, field_rules, items_max, key_rules, length_max

BYTES_MIN: Final = 65_536
"""The smallest limit of any method: room for fields of newer contracts, other unknown fields and white space."""

_NUMBER: Final = 32
_CHARACTER: Final = 12  # a surrogate pair, each escaped by six characters (RFC 8259, section 7)
_SLACK: Final = 2  # for white space, and names spelled otherwise
_WELL_KNOWN: Final = {
    **dict.fromkeys(("Timestamp", "Duration"), 40),
    **dict.fromkeys(("DoubleValue", "FloatValue", "Int64Value", "UInt64Value"), _NUMBER),
    **dict.fromkeys(("Int32Value", "UInt32Value", "BoolValue"), _NUMBER),
    "Empty": 2,
}


def request_bytes_max(message: DescMessage, allowed_bytes: int) -> int:
    """Returns the largest size in bytes that a request may have: the bound that follows from its contract, but at least
    BYTES_MIN and at most `allowed_bytes`. Without such a bound it is `allowed_bytes`.
    """
    bound = _message(message, ())
    return allowed_bytes if bound is None else min(allowed_bytes, max(BYTES_MIN, bound * _SLACK))


def _message(message: DescMessage, around: tuple[str, ...]) -> int | None:
    """Returns the bound in bytes of a message nested in messages of the types `around`, None if there is no bound."""
    package, _, name = message.type_name.rpartition(".")
    if package == "google.protobuf":
        return _WELL_KNOWN.get(name)
    if message.type_name in around:
        return None
    size = 2
    for field in message.fields:
        inner = _field(field, (*around, message.type_name))
        if inner is None:
            return None
        size += max(len(field.json_name), len(field.name)) + inner + 4
    return size


def _field(field: DescField, around: tuple[str, ...]) -> int | None:
    rules = field_rules(field)
    match field.value:
        case DescFieldValueScalar(scalar=element) | DescFieldValueEnum(enum=element):
            return _element(element, rules, around)
        case DescFieldValueMessage(message=message):
            return _element(message, rules, around)
        case DescFieldValueList(element=element):
            return _times(items_max(rules), _element(element, element_rules(rules), around))
        case DescFieldValueMap(key=key, value=element):
            entry = (_element(key, key_rules(rules), around), _element(element, element_rules(rules), around))
            return _times(items_max(rules), None if None in entry else sum(filter(None, entry)) + 2)


def _times(count: int | None, size: int | None) -> int | None:
    return None if count is None or size is None else 2 + count * (size + 2)


def _element(
    element: DescMessage | DescEnum | ScalarType, rules: FieldRules | None, around: tuple[str, ...]
) -> int | None:
    if isinstance(element, DescMessage):
        return _message(element, around)
    if isinstance(element, DescEnum):
        return max(_NUMBER, *(len(value.name) + 2 for value in element.values))
    longest = length_max(rules)
    match element:
        case ScalarType.STRING:
            return None if longest is None else 2 + longest * _CHARACTER
        case ScalarType.BYTES:
            return None if longest is None else 6 + longest * 4 // 3
    return _NUMBER
