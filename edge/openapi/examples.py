"""Examples of values that rules constrain. The edge accepts them, so that a reader can send what a page shows."""

import math
import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from edge.openapi.json_schema import Schema
from edge.openapi.quoted_values import UUID, quoted_value

# Python has no public parser of regular expressions, and types know nothing of its own.
_parser: Any = import_module("re._parser")
op: Any = import_module("re._constants")

EXAMPLE_LENGTH_MAX: Final = 200

_WORD: Final = "example"
_TEXT: Final = "example text "
_BY_FORMAT: Final = {
    "email": "ada@example.com",
    "hostname": "www.example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://www.example.com/",
    "uri-reference": "/path",
    "uuid": UUID,
}


def example(schema: Schema) -> Any:
    """Returns a value that satisfies the schema, None if none is known to, or if the schema needs no example."""
    plain = _plain(schema)
    return _example(plain) if plain is not None else None


def _plain(schema: Schema) -> Schema | None:
    """Returns a stricter schema without alternatives, None if the keywords of the schema can't be merged."""
    plain: Schema = {}
    waiting = [schema]
    while waiting:
        for key, value in waiting.pop().items():
            if key == "anyOf":
                waiting.append(value[0])
            elif key == "else":
                waiting.append(value)
            elif key == "allOf":
                waiting += value
            elif key in _NOT_MERGEABLE and key in plain:
                return None
            elif key in _STRICTER and key in plain:
                plain[key] = _STRICTER[key](plain[key], value)
            elif key != "if":
                plain[key] = value
    return plain


_NOT_MERGEABLE: Final = frozenset({"pattern", "format", "enum", "const", "not"})
_STRICTER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems"), min),
}


def _example(schema: Schema) -> Any:
    if "enum" in schema:
        return next(iter(schema["enum"]), None)  # rules may exclude every value
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type", "")
    if kind == "array":
        given = schema["items"].get("examples") or [example(schema["items"])]
        item = given[0] if schema.get("minItems", 0) < 2 else None
        return None if item is None else [item]
    if "string" in kind:
        found = _text(schema)
        return found if found is not None and _fits(found, schema) else None
    return _number(schema) if kind in ("integer", "number") and "not" not in schema else None


def _text(schema: Schema) -> str | None:
    if "not" in schema:
        return None
    if (pattern := schema.get("pattern")) is not None:
        readable = (quoted_value(schema.get("description", "")), _WORD)
        found = next((each for each in readable if each is not None and _fits(each, schema)), None)
        return _matching(pattern, schema.get("minLength", 0)) if found is None else found
    if "format" in schema:
        return _BY_FORMAT.get(str(schema["format"]))
    if not schema.get("minLength"):
        return None
    length: int = max(schema["minLength"], min(7, schema.get("maxLength", 7)))
    text = _TEXT * (length // len(_TEXT) + 1)
    return text[:length].rstrip().ljust(length, "s")


def _fits(text: str, schema: Schema) -> bool:
    """Returns whether a text has the length that the schema demands, and matches its pattern as Python reads it."""
    length_max = min(schema.get("maxLength", math.inf), EXAMPLE_LENGTH_MAX)
    is_long_enough = schema.get("minLength", 0) <= len(text) <= length_max
    return is_long_enough and re.search(schema.get("pattern", ""), text) is not None


def _number(schema: Schema) -> int | float | None:
    """Returns a number within the bounds, as near to 1 as they let it be."""
    lower, upper = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    if schema["type"] == "integer":
        lower, upper = max(lower, above + 1), min(upper, below - 1)
        return int(min(max(1, lower), upper)) if lower <= upper else None
    found = min(max(1, lower), upper)
    if not above < found < below:
        found = (above + min(below, above + 2)) / 2 if above > -math.inf else below - 1
    return found if lower <= found <= upper and above < found < below else None


def _matching(pattern: str, length_min: int) -> str | None:
    """Returns a text that matches a regular expression: the first alternative each time, with the fewest repetitions.
    None if there is no such text.
    """
    try:
        parsed = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError):
        return None
    for repetitions in (0, 1, length_min):
        found = _sample(parsed, repetitions)
        if found is None or len(found) >= max(1, length_min):
            return found
    return None


def _sample(parsed: Any, repetitions: int) -> str | None:
    """Returns a text for a parsed pattern, None if the pattern has elements that are not supported. `repetitions` is
    the count for what the pattern repeats without a fixed count.
    """
    pieces: list[str] = []
    for code, argument in parsed:
        if code is op.LITERAL:
            pieces.append(chr(argument))
        elif code is op.NOT_LITERAL:
            pieces.append("a" if argument != ord("a") else "b")
        elif code is op.ANY:
            pieces.append("a")
        elif code is op.IN:
            pieces.append(_one_of(argument))
        elif code is op.SUBPATTERN:
            pieces.append(_sample(argument[-1], repetitions) or "")
        elif code is op.BRANCH:
            pieces.append(_sample(argument[1][0], repetitions) or "")
        elif code in (op.MAX_REPEAT, op.MIN_REPEAT):
            least, most, repeated = argument
            times = min(max(least, repetitions if most > 1 else least), most, EXAMPLE_LENGTH_MAX)
            pieces.append((_sample(repeated, 1) or "") * times)
        elif code is not op.AT:
            return None
    return "".join(pieces)


_CATEGORIES: Final = {op.CATEGORY_DIGIT: "1", op.CATEGORY_WORD: "a", op.CATEGORY_SPACE: " "}


def _one_of(members: Any) -> str:
    """Returns a character of a set, a letter or a digit if it has one."""
    if members[0][0] is op.NEGATE:
        excluded = _characters(members[1:])
        return next((each for each in "a1b2-_ " if each not in excluded), "a")
    return next(iter(sorted(_characters(members), key=lambda each: not each.isalnum())), "")


def _characters(members: Any) -> list[str]:
    """Returns some characters of a set, among them the bounds of its ranges."""
    listed: list[str] = []
    for code, argument in members:
        if code is op.LITERAL:
            listed.append(chr(argument))
        elif code is op.RANGE:
            listed += [chr(argument[0]), chr(argument[1])]
        elif code is op.CATEGORY:
            listed.append(_CATEGORIES.get(argument, "a"))
    return listed
