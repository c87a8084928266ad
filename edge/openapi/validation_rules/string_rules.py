"""The rules of strings as JSON Schema."""

import re
from typing import Final

from protovalidate._gen.buf.validate.validate_pb import StringRules

from edge.openapi.json_schema import Schema, add_for_validators
from edge.openapi.validation_rules.ecma_pattern import ecma_pattern
from edge.openapi.validation_rules.keywords import add_keywords, given_rules

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


def constrain_string(schema: Schema, kind: str, rules: StringRules) -> list[str]:
    """Adds the rules of a string to its schema. Returns sentences for those that have no keyword."""
    given, notes = given_rules(rules), []
    patterns = [_PATTERNS[name] for name in given if name in _PATTERNS]
    if (pattern := given.get("pattern")) is not None:
        if (translated := ecma_pattern(pattern)) is None:
            notes.append(f"must match the regular expression `{pattern}`, in RE2's syntax")
        else:
            patterns.append(translated)
    if "prefix" in given:
        patterns.append(f"^{_literal(given['prefix'])}")
    if "suffix" in given:
        patterns.append(f"{_literal(given['suffix'])}$")
    if "contains" in given:
        patterns.append(_literal(given["contains"]))
    if patterns:
        schema["pattern"] = patterns[0]
    for each in patterns[1:]:
        add_for_validators(schema, {"pattern": each})
    for name in given.keys() & _FORMATS.keys():
        schema["format"] = _FORMATS[name]
    if "ip" in given:
        add_for_validators(schema, {"anyOf": [{"format": "ipv4"}, {"format": "ipv6"}]})
    handled = {"pattern", "prefix", "suffix", "contains", "strict", "ip", *_FORMATS, *_PATTERNS}
    return notes + add_keywords(schema, kind, rules, without=handled)


def _literal(text: str) -> str:
    """Returns the regular expression for a text. ECMA-262 forbids to escape characters that have no special meaning."""
    return re.sub(r"[\^$\\.*+?()\[\]{}|/]", r"\\\g<0>", text)
