"""The validation rules in a contract's descriptors (protovalidate's options)."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from protobuf import DescExtension, DescField, DescMessage
from protovalidate._gen.buf.validate.validate_pb import (
    FieldRules,
    Ignore,
    MessageRules,
    ext_field,
    ext_message,
    ext_oneof,
)

from mesh.contract.descriptors import messages_within

# A character takes at least one byte in UTF-8, so a bound on bytes also bounds characters.
_LENGTHS: Final = {"string": ("len", "max_len", "len_bytes", "max_bytes"), "bytes": ("len", "max_len")}
_WELL_KNOWN_LENGTHS: Final = {
    "uuid": 36,
    "tuuid": 32,
    "ulid": 26,
    "ipv4": 15,
    "ipv6": 64,
    "hostname": 255,
    "email": 400,
}


def field_rules(field: DescField | DescExtension) -> FieldRules | None:
    """Returns the rules of a field, None if it has none."""
    options = field.proto.options
    return options[ext_field] if options is not None and ext_field in options else None


def message_rules(message: DescMessage) -> MessageRules | None:
    """Returns the rules of a message as a whole, None if it has none."""
    options = message.proto.options
    return options[ext_message] if options is not None and ext_message in options else None


def active(rules: FieldRules | None) -> FieldRules | None:
    """Returns the rules, None if they are disabled (buf.validate.Ignore)."""
    return None if rules is None or rules.ignore is Ignore.ALWAYS else rules


def expressions(rules: FieldRules | MessageRules | None) -> Iterator[str]:
    """Yields the CEL expressions among the rules."""
    if rules is not None:
        yield from rules.cel_expression
        for rule in rules.cel:
            yield rule.expression


def items_max(rules: FieldRules | None) -> int | None:
    """Returns the most elements of a list, or entries of a map, that the rules allow; None if they set no bound."""
    kind, value = _type_rules(rules)
    return _smallest(value, {"repeated": ("max_items",), "map": ("max_pairs",)}.get(kind, ()))


def element_rules(rules: FieldRules | None) -> FieldRules | None:
    """Returns the rules of the elements of a list, or of the values of a map."""
    kind, value = _type_rules(rules)
    found: FieldRules | None = getattr(value, {"repeated": "items", "map": "values"}.get(kind, ""), None)
    return active(found)


def key_rules(rules: FieldRules | None) -> FieldRules | None:
    """Returns the rules of the keys of a map."""
    kind, value = _type_rules(rules)
    found: FieldRules | None = value.keys if kind == "map" else None
    return active(found)


def length_max(rules: FieldRules | None) -> int | None:
    """Returns the most characters of a string, or bytes of a bytes field, that the rules allow; None if they set no
    bound.
    """
    kind, value = _type_rules(rules)
    if kind not in _LENGTHS:
        return None
    bounds = [_smallest(value, _LENGTHS[kind])]
    if value.well_known is not None:
        bounds.append(_WELL_KNOWN_LENGTHS.get(value.well_known.field))
    return min((bound for bound in bounds if bound is not None), default=None)


def _type_rules(rules: FieldRules | None) -> tuple[str, Any]:
    """Returns the name of the type that the rules apply to, and the rules of that type; an empty name if there are
    none.
    """
    kind: Any = rules.type if rules is not None and active(rules) is not None else None
    return ("", None) if kind is None else (kind.field, kind.value)


def _smallest(rules: Any, names: Iterable[str]) -> int | None:
    """Returns the smallest of the bounds that are set, None if none is."""
    return min((int(getattr(rules, name)) for name in names if rules.has_field(name)), default=None)


def has_rules(message: DescMessage) -> bool:
    """Returns whether a message, or any message that it can contain, has rules."""
    return any(map(_has_own_rules, messages_within(message)))


def _has_own_rules(message: DescMessage) -> bool:
    if message_rules(message) is not None or any(field_rules(field) is not None for field in message.fields):
        return True
    return any(oneof.proto.options is not None and ext_oneof in oneof.proto.options for oneof in message.oneofs)
