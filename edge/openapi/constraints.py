"""protovalidate's rules as JSON Schema, as far as it can say them, and in words where it can't.

buf/validate/validate.proto says what each rule demands.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from protobuf import DescEnum, DescExtension, DescField, DescFieldValueEnum, DescFieldValueList, Message
from protovalidate._gen.buf.validate.validate_pb import (
    EnumRules,
    FieldRules,
    Ignore,
    MapRules,
    RepeatedRules,
    StringRules,
)

from edge.fields import values_of
from edge.openapi.decimals import between
from edge.openapi.values import INT64_DIGITS, UINT64_DIGITS, Schema

_KEYWORDS: Final = {
    "min_len": ("minLength",),
    "max_len": ("maxLength",),
    "len": ("minLength", "maxLength"),
    "min_items": ("minItems",),
    "max_items": ("maxItems",),
    "unique": ("uniqueItems",),
    "min_pairs": ("minProperties",),
    "max_pairs": ("maxProperties",),
    "lt": ("exclusiveMaximum",),
    "lte": ("maximum",),
    "gt": ("exclusiveMinimum",),
    "gte": ("minimum",),
    "const": ("const",),
}
_FORMATS: Final = {
    "email": "email",
    "hostname": "hostname",
    "ipv4": "ipv4",
    "ipv6": "ipv6",
    "uri": "uri",
    "uri_ref": "uri-reference",
    "uuid": "uuid",
}
_PATTERNS: Final = {
    "tuuid": "^[0-9a-fA-F]{32}$",
    "ulid": "^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$",
}
_INTEGERS: Final = frozenset({"int32", "uint32", "sint32", "fixed32", "sfixed32"})
_LONG: Final = frozenset({"int64", "uint64", "sint64", "fixed64", "sfixed64"})
_NUMBERS: Final = _INTEGERS | _LONG | {"float", "double"}
_BOUNDS: Final = frozenset({"lt", "lte", "gt", "gte"})
_AT_LEAST_ONE: Final = {"string": "minLength", "array": "minItems", "object": "minProperties"}

# What RE2, which protovalidate's patterns are in, has and ECMA-262, which JSON Schema's are in, has not.
_RE2_ONLY = re.compile(r"\(\?[A-Za-z]|\[\[:|\\[AzQECapP]")


def constrain(schema: Schema, rules: FieldRules, field: DescField | DescExtension | None = None) -> None:
    """Adds to the schema of a field what its rules demand. `field` is None if the rules are not a field's own."""
    if rules.ignore == Ignore.ALWAYS:
        return
    notes = [rule.message for rule in rules.cel if rule.message]
    before = dict(schema)
    if rules.type is not None:
        notes += _constrain_value(schema, rules.type.field, rules.type.value, field)
    if rules.required and (keyword := _AT_LEAST_ONE.get(str(schema.get("type")))) is not None:
        schema[keyword] = max(1, schema.get(keyword, 0))
    elif rules.ignore == Ignore.IF_ZERO_VALUE:
        _except_zero(schema, before)
    if notes:
        sentences = " ".join(f"{text[:1].upper()}{text[1:].rstrip('.')}." for text in notes)
        schema["description"] = "\n\n".join(filter(None, (schema.get("description"), sentences)))


def _constrain_value(schema: Schema, kind: str, rules: Any, field: DescField | DescExtension | None) -> list[str]:
    """Adds what rules of one type demand; gives what is left to be said in words."""
    match rules:
        case RepeatedRules():
            if rules.items is not None:
                constrain(schema["items"], rules.items, field)
            return _copy(schema, kind, rules, without={"items"})
        case MapRules():
            if rules.keys is not None:
                constrain(schema.setdefault("propertyNames", {}), rules.keys)
            if rules.values is not None:
                constrain(schema["additionalProperties"], rules.values)
            return _copy(schema, kind, rules, without={"keys", "values"})
        case EnumRules():
            return _constrain_enum(schema, kind, rules, field)
        case StringRules():
            return _constrain_string(schema, kind, rules)
        case _ if kind in _LONG:
            return _constrain_long(schema, kind, rules)
        case _ if kind in _NUMBERS:
            return _constrain_number(schema, kind, rules)
    return _copy(schema, kind, rules) if kind == "bool" else _in_words(kind, _given(rules))


def _given(rules: Message) -> dict[str, Any]:
    """The rules that are set, by name."""
    return {field.name: rules[field] for field in rules.desc().fields if field in rules}


def _copy(schema: Schema, kind: str, rules: Message, *, without: Iterable[str] = ()) -> list[str]:
    """The rules that one keyword, or a few, stand for."""
    left: dict[str, Any] = {}
    for name, value in _given(rules).items():
        if name in _KEYWORDS:
            schema.update(dict.fromkeys(_KEYWORDS[name], value))
        elif name == "in":
            schema["enum"] = list(value)
        elif name == "not_in":
            schema["not"] = {"enum": list(value)}
        elif name == "example":
            schema["examples"] = list(value)
        elif name not in without:
            left[name] = value
    return _in_words(kind, left)


def _in_words(kind: str, left: dict[str, Any]) -> list[str]:
    return [f"must satisfy {kind}.{name}" + ("" if value is True else f" = {value}") for name, value in left.items()]


def _constrain_string(schema: Schema, kind: str, rules: StringRules) -> list[str]:
    given, notes = _given(rules), []
    patterns = [_PATTERNS[name] for name in given if name in _PATTERNS]
    if (pattern := given.get("pattern")) is not None:
        if _RE2_ONLY.search(pattern):
            notes.append(f"must match the regular expression `{pattern}`, in RE2's syntax")
        else:
            patterns.append(pattern)
    if "prefix" in given:
        patterns.append(f"^{_literal(given['prefix'])}")
    if "suffix" in given:
        patterns.append(f"{_literal(given['suffix'])}$")
    if "contains" in given:
        patterns.append(_literal(given["contains"]))
    if patterns:
        schema["pattern"] = patterns[0]
    if patterns[1:]:
        schema["allOf"] = [{"pattern": each} for each in patterns[1:]]
    for name in given.keys() & _FORMATS.keys():
        schema["format"] = _FORMATS[name]
    if "ip" in given:
        schema["anyOf"] = [{"format": "ipv4"}, {"format": "ipv6"}]
    said = {"pattern", "prefix", "suffix", "contains", "strict", "ip", *_FORMATS, *_PATTERNS}
    return notes + _copy(schema, kind, rules, without=said)


def _literal(text: str) -> str:
    """A regular expression of ECMA-262 for a text: it lets no more be escaped than has a meaning."""
    return re.sub(r"[\^$\\.*+?()\[\]{}|/]", r"\\\g<0>", text)


def _constrain_number(schema: Schema, kind: str, rules: Message) -> list[str]:
    given = _given(rules)
    lower, upper = given.get("gt", given.get("gte")), given.get("lt", given.get("lte"))
    if lower is None or upper is None or lower <= upper:
        if "gt" in given:
            schema.pop("minimum", None)
        if "lt" in given:
            schema.pop("maximum", None)
        return _copy(schema, kind, rules, without={"finite"})
    # Bounds the wrong way round exclude what lies between them.
    bounds = {name: given[name] for name in given if name in _BOUNDS}
    schema["anyOf"] = [{_KEYWORDS[name][0]: value} for name, value in bounds.items()]
    rest: Schema = {}
    notes = _copy(rest, kind, rules, without={"finite"})
    schema.update({keyword: value for keyword, value in rest.items() if not keyword.endswith("imum")})
    return notes


def _constrain_long(schema: Schema, kind: str, rules: Message) -> list[str]:
    """A 64-bit integer is digits in a string, or a number: bounds hold for numbers, and shape the digits."""
    given = _given(rules)
    values = [given["const"]] if "const" in given else given.get("in", [])
    if values:
        schema.pop("pattern", None)
        schema["enum"] = [str(value) for value in values] + (list(values) if schema["type"] != "string" else [])
        return []
    lower = given["gt"] + 1 if "gt" in given else given.get("gte")
    upper = given["lt"] - 1 if "lt" in given else given.get("lte")
    if lower is not None and upper is not None and lower > upper:
        return _in_words(kind, given)
    if schema["type"] != "string":
        schema |= {"minimum": schema["minimum"] if lower is None else lower}
        schema |= {"maximum": schema["maximum"] if upper is None else upper}
    if lower is not None or upper is not None:
        least, greatest = UINT64_DIGITS if kind in ("uint64", "fixed64") else INT64_DIGITS
        schema["pattern"] = between(least if lower is None else lower, greatest if upper is None else upper)
    schema.update({"examples": [str(each) for each in given["example"]]} if "example" in given else {})
    return _in_words(kind, {name: given[name] for name in given.keys() & {"not_in"}})


def _constrain_enum(schema: Schema, kind: str, rules: EnumRules, field: DescField | DescExtension | None) -> list[str]:
    enum = _enum_of(field)
    if enum is None:
        return _in_words(kind, _given(rules))
    allowed = {value.number for value in enum.values}
    if rules.has_field("const"):
        allowed = {rules.const}
    if rules.in_:
        allowed &= set(rules.in_)
    allowed -= set(rules.not_in)
    if rules.defined_only or rules.has_field("const") or rules.in_:
        names = [value.json_name or value.name for value in values_of(enum) if value.number in allowed]
        schema["enum"] = [*names, *sorted(allowed)]
    elif rules.not_in:
        names = [value.json_name or value.name for value in values_of(enum) if value.number in rules.not_in]
        schema["not"] = {"enum": [*names, *rules.not_in]}
    return []


def _enum_of(field: DescField | DescExtension | None) -> DescEnum | None:
    match field.value if field is not None else None:
        case DescFieldValueEnum(enum=enum) | DescFieldValueList(element=DescEnum() as enum):
            return enum
    return None


def _except_zero(schema: Schema, before: Schema) -> None:
    """Lets the zero value pass, for which the rules do not hold: what they added holds for all others."""
    zero = {"string": "", "integer": 0, "number": 0}.get(str(schema.get("type")))
    added = {
        keyword: value for keyword, value in schema.items() if keyword not in _NOTES and before.get(keyword) != value
    }
    if zero is not None and added:
        for keyword in added:
            del schema[keyword]
        schema |= {keyword: before[keyword] for keyword in added if keyword in before}
        schema["anyOf"] = [added, {"const": zero}]


_NOTES: Final = ("description", "examples")
