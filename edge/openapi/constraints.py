"""protovalidate's rules as JSON Schema, as far as it can say them, and in words where it can't.

buf/validate/validate.proto says what each rule demands.
"""

import base64
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

from edge.openapi.decimals import between
from edge.openapi.values import Schema, aside, digits, note
from edge.protojson.fields import values_of

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


def constrain(
    schema: Schema, rules: FieldRules, field: DescField | DescExtension | None = None, *, text: bool = False
) -> None:
    """Adds to the schema of a field what its rules demand. `field` is None if the rules are not a field's own, `text`
    says that a path or a query gives the value.
    """
    if rules.ignore == Ignore.ALWAYS:
        return
    notes = [rule.message for rule in rules.cel if rule.message]
    before = dict(schema)
    if rules.type is not None:
        notes += _constrain_value(schema, rules.type.field, rules.type.value, field, text=text)
    if rules.required:
        _demand(schema, field)
    elif rules.ignore == Ignore.IF_ZERO_VALUE:
        except_zero(schema, before, zeros(before, _enum_of(field)))
    if notes:
        note(schema, *notes)


def _demand(schema: Schema, field: DescField | DescExtension | None) -> None:
    """Excludes the zero value of a required field; one with presence may hold it."""
    is_plain = isinstance(field, DescField) and field.presence.name == "IMPLICIT"
    kind = "" if "int64" in schema.get("format", "") else str(schema.get("type"))
    if (keyword := _AT_LEAST_ONE.get(kind)) is not None:
        if is_plain or kind != "string":
            schema[keyword] = max(1, schema.get(keyword, 0))
    elif is_plain and (excluded := zeros(schema, _enum_of(field))):
        aside(schema, {"not": {"enum": excluded}})


def _constrain_value(
    schema: Schema, kind: str, rules: Any, field: DescField | DescExtension | None, *, text: bool
) -> list[str]:
    """Adds what rules of one type demand; gives what is left to be said in words."""
    match rules:
        case RepeatedRules():
            if rules.items is not None:
                constrain(schema["items"], rules.items, field, text=text)
            return _copy(schema, kind, rules, without={"items"})
        case MapRules():
            if rules.keys is not None:
                constrain(schema.setdefault("propertyNames", {}), rules.keys)
            if rules.values is not None:
                constrain(schema["additionalProperties"], rules.values, text=text)
            return _copy(schema, kind, rules, without={"keys", "values"})
        case EnumRules():
            return _constrain_enum(schema, kind, rules, field, text=text)
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
        if name == "const" and kind == "bool":
            aside(schema, {"const": value})
        elif name in _KEYWORDS:
            schema.update(dict.fromkeys(_KEYWORDS[name], value))
        elif name == "in":
            schema["enum"] = list(value)
        elif name == "not_in":
            aside(schema, {"not": {"enum": list(value)}})
        elif name == "example":
            schema["examples"] = list(value)
        elif name not in without:
            left[name] = value
    return _in_words(kind, left)


_WORDS: Final = {
    "const": "be {}",
    "in": "be one of {}",
    "not_in": "be none of {}",
    "lt": "be less than {}",
    "lte": "be at most {}",
    "gt": "be greater than {}",
    "gte": "be at least {}",
    "lt_now": "be in the past",
    "gt_now": "be in the future",
    "within": "be within {} of now",
    "min_len": "be at least {} bytes long",
    "max_len": "be at most {} bytes long",
    "len": "be {} bytes long",
    "min_bytes": "be at least {} bytes long in UTF-8",
    "max_bytes": "be at most {} bytes long in UTF-8",
    "len_bytes": "be {} bytes long in UTF-8",
    "prefix": "begin with {}",
    "suffix": "end with {}",
    "contains": "contain {}",
    "not_contains": "not contain {}",
    "pattern": "match the regular expression {}",
    "ip": "be an IP address",
    "ipv4": "be an IPv4 address",
    "ipv6": "be an IPv6 address",
    "finite": "be finite",
    "example": "",
}
"""Rules that no keyword stands for, as sentences: what must the value do?"""


def _in_words(kind: str, left: dict[str, Any]) -> list[str]:
    sentences = []
    for name, value in left.items():
        words = _WORDS.get(name, f"satisfy `{kind}.{name}`" + ("" if value is True else " = {}"))
        if words and value is not False:
            sentences.append(f"must {words.format(_shown(value))}")
    return sentences


def _shown(value: Any) -> str:
    """The value of a rule as JSON has it."""
    if isinstance(value, Message):
        return _shown(value.to_json().strip('"'))
    if isinstance(value, bytes):
        return f"{_shown(base64.b64encode(value).decode())} (in base64)"
    if isinstance(value, str):
        return f"`{value}`"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Iterable):
        return ", ".join(map(_shown, value))
    return f"{value}"


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
    for each in patterns[1:]:
        aside(schema, {"pattern": each})
    for name in given.keys() & _FORMATS.keys():
        schema["format"] = _FORMATS[name]
    if "ip" in given:
        aside(schema, {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})
    said = {"pattern", "prefix", "suffix", "contains", "strict", "ip", *_FORMATS, *_PATTERNS}
    return notes + _copy(schema, kind, rules, without=said)


def _literal(text: str) -> str:
    """A regular expression of ECMA-262 for a text: it lets no more be escaped than has a meaning."""
    return re.sub(r"[\^$\\.*+?()\[\]{}|/]", r"\\\g<0>", text)


def _constrain_number(schema: Schema, kind: str, rules: Message) -> list[str]:
    given = _given(rules)
    lower, upper = given.get("gt", given.get("gte")), given.get("lt", given.get("lte"))
    if "anyOf" in schema:
        _limit_to_finite(schema, given, lower, upper)
    if lower is None or upper is None or lower <= upper:
        if "gt" in given:
            schema.pop("minimum", None)
        if "lt" in given:
            schema.pop("maximum", None)
        return _copy(schema, kind, rules, without={"finite"})
    # Bounds the wrong way round exclude what lies between them.
    bounds = {name: given[name] for name in given if name in _BOUNDS}
    aside(schema, {"anyOf": [{_KEYWORDS[name][0]: value} for name, value in bounds.items()]})
    rest: Schema = {}
    notes = _copy(rest, kind, rules, without={"finite"})
    schema.update({keyword: value for keyword, value in rest.items() if not keyword.endswith("imum")})
    return notes


def _limit_to_finite(schema: Schema, given: dict[str, Any], lower: float | None, upper: float | None) -> None:
    """Leaves of the texts that a float may be those that satisfy the rules: no bound admits NaN."""
    number, _ = schema.pop("anyOf")
    texts = []
    if not given.keys() & {"finite", "const", "in"}:
        is_outside = lower is not None and upper is not None and lower > upper
        texts += ["NaN"] if lower is None and upper is None else []
        texts += ["Infinity"] if upper is None or is_outside else []
        texts += ["-Infinity"] if lower is None or is_outside else []
    if texts:
        schema["anyOf"] = [number, {"type": "string", "enum": texts}]
    else:
        schema.update(number)


def _constrain_long(schema: Schema, kind: str, rules: Message) -> list[str]:
    """A 64-bit integer is digits in a string, or a number: bounds hold for numbers, and shape the digits."""
    given = _given(rules)
    is_text = schema["type"] == "string"
    values = [given["const"]] if "const" in given else given.get("in", [])
    if values:
        texts: Schema = {"type": "string", "enum": [str(value) for value in values]}
        for keyword in ("type", "if", "else", "minimum", "maximum"):
            schema.pop(keyword, None)
        schema.update(texts if is_text else {"anyOf": [texts, {"type": "integer", "enum": list(values)}]})
        return []
    lower = given["gt"] + 1 if "gt" in given else given.get("gte")
    upper = given["lt"] - 1 if "lt" in given else given.get("lte")
    if lower is not None and upper is not None and lower > upper:
        return _in_words(kind, given)
    least, greatest = (0, 2**64 - 1) if kind in ("uint64", "fixed64") else (-(2**63), 2**63 - 1)
    least, greatest = least if lower is None else lower, greatest if upper is None else upper
    for keyword in ("if", "else"):
        schema.pop(keyword, None)
    if is_text:
        digits(schema, least, greatest)
    else:
        schema |= {"pattern": between(least, greatest), "minimum": least, "maximum": greatest}
    schema.update({"examples": [str(each) for each in given["example"]]} if "example" in given else {})
    if excluded := given.get("not_in"):
        aside(schema, {"not": {"enum": [*map(str, excluded), *([] if is_text else excluded)]}})
    return []


def _constrain_enum(
    schema: Schema, kind: str, rules: EnumRules, field: DescField | DescExtension | None, *, text: bool
) -> list[str]:
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
        values = _values_of(enum, allowed, text=text)
        if text:
            schema.pop("$ref", None)
            schema |= {"type": "string", "enum": values}
        else:
            aside(schema, {"enum": values})
    elif rules.not_in:
        aside(schema, {"not": {"enum": _values_of(enum, rules.not_in, text=text)}})
    return []


def _values_of(enum: DescEnum, numbers: Iterable[int], *, text: bool) -> list[str | int]:
    """The names and the numbers of these values of an enum."""
    wanted = sorted(numbers)
    names = [value.json_name or value.name for value in values_of(enum) if value.number in wanted]
    return [*names, *(map(str, wanted) if text else wanted)]


def _enum_of(field: DescField | DescExtension | None) -> DescEnum | None:
    match field.value if field is not None else None:
        case DescFieldValueEnum(enum=enum) | DescFieldValueList(element=DescEnum() as enum):
            return enum
    return None


def zeros(schema: Schema, enum: DescEnum | None = None) -> list[Any]:
    """What the zero value may look like in a value of this schema; nothing if it has none."""
    if enum is not None and "$ref" in schema:
        is_text = str(schema["$ref"]).endswith("-Text")
        return _values_of(enum, [0], text=is_text)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "anyOf" in schema:
        return [0]
    if "string" in kinds and "int64" in schema.get("format", ""):
        return ["0", 0] if "integer" in kinds else ["0"]
    return [_ZEROS[kind] for kind in kinds if kind in _ZEROS]


_ZEROS: Final[dict[str, Any]] = {"string": "", "integer": 0, "number": 0, "boolean": False, "array": [], "object": {}}


def except_zero(schema: Schema, before: Schema, allowed: list[Any]) -> None:
    """Lets the zero value pass, for which the rules do not hold: what they added holds for all others."""
    if not allowed:
        return
    for choice in [schema, *schema.get("anyOf", [])]:
        if "const" in choice:
            choice["enum"] = [choice.pop("const")]
        if "enum" in choice:
            choice["enum"] = [*choice["enum"], *(zero for zero in allowed if _is_of(zero, choice))]
    added = {key: value for key, value in schema.items() if key in _HELD_BACK and before.get(key) != value}
    for key in added:
        del schema[key]
    schema |= {key: before[key] for key in added if key in before}
    added.pop("if", None)
    parts = [part for part in (added.pop("else", {}), added) if part]
    if parts:
        aside(schema, {"anyOf": [parts[0] if len(parts) == 1 else {"allOf": parts}, {"enum": allowed}]})


def _is_of(zero: Any, choice: Schema) -> bool:
    """Whether the zero value is of the type of one choice, and not in it yet."""
    is_text = choice.get("type") == "string"
    return isinstance(zero, str) is is_text and zero not in choice["enum"]


_HELD_BACK: Final = frozenset(
    (
        *("minLength", "maxLength", "pattern", "format", "if", "else"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
    )
)
"""The keywords of rules that do not hold for the zero value."""
