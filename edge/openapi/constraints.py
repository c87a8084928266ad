"""protovalidate's rules as JSON Schema, as far as it can say them; CEL rules by their messages."""

from typing import Any, Final

from protobuf import Message, Oneof
from protovalidate._gen.buf.validate.validate_pb import FieldRules, Ignore, MapRules, RepeatedRules, StringRules

Schema = dict[str, Any]

_STRING_KEYWORDS: Final = {"min_len": "minLength", "max_len": "maxLength", "pattern": "pattern"}
_FORMATS: Final = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_BOUNDS: Final = {"lt": "exclusiveMaximum", "lte": "maximum", "gt": "exclusiveMinimum", "gte": "minimum"}
_NUMBERS: Final = frozenset({"float", "double", "int32", "uint32", "sint32", "fixed32", "sfixed32"})
"""The types that are numbers in JSON. 64-bit integers are strings, which have no bounds."""


def constrain(schema: Schema, rules: FieldRules) -> None:
    """Adds to a field's schema what its rules demand."""
    if rules.type is not None:
        _constrain_type(schema, rules.type)
    if rules.ignore == Ignore.IF_ZERO_VALUE and schema.get("type") == "string":
        demands = {keyword: schema.pop(keyword) for keyword in ("format", "minLength", "pattern") if keyword in schema}
        if demands:
            schema["anyOf"] = [demands, {"const": ""}]
    messages = [rule.message for rule in rules.cel if rule.message]
    if messages:
        sentences = " ".join(f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in messages)
        schema["description"] = "\n\n".join(filter(None, (schema.get("description"), sentences)))


def _constrain_type(schema: Schema, rule: Oneof[Any, Any]) -> None:
    match rule.value:
        case StringRules() as string:
            _constrain_string(schema, string)
        case RepeatedRules() as repeated:
            _copy(schema, repeated, {"min_items": "minItems", "max_items": "maxItems"})
            if repeated.unique:
                schema["uniqueItems"] = True
            if repeated.items is not None and isinstance(schema.get("items"), dict):
                constrain(schema["items"], repeated.items)
        case MapRules() as pairs:
            _copy(schema, pairs, {"min_pairs": "minProperties", "max_pairs": "maxProperties"})
        case Message() as numbers if rule.field in _NUMBERS:
            _constrain_number(schema, numbers)


def _constrain_string(schema: Schema, rules: StringRules) -> None:
    _copy(schema, rules, _STRING_KEYWORDS)
    if rules.has_field("const"):
        schema["const"] = rules.const
    if rules.in_:
        schema["enum"] = list(rules.in_)
    if rules.example:
        schema["examples"] = list(rules.example)
    if rules.well_known is not None and rules.well_known.field in _FORMATS:
        schema["format"] = _FORMATS[rules.well_known.field]


def _constrain_number(schema: Schema, rules: Any) -> None:
    for bound in (rules.less_than, rules.greater_than):
        if bound is not None:
            schema[_BOUNDS[bound.field]] = bound.value
    if rules.in_:
        schema["enum"] = list(rules.in_)
    if rules.example:
        schema["examples"] = list(rules.example)


def _copy(schema: Schema, rules: Any, keywords: dict[str, str]) -> None:
    for name, keyword in keywords.items():
        if rules.has_field(name):
            schema[keyword] = getattr(rules, name)
