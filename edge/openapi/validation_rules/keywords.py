"""Rules as the keywords of JSON Schema."""

import math
from collections.abc import Iterable
from typing import Any, Final

from protobuf import Message

from edge.openapi.json_schema import Schema, add_for_validators
from edge.openapi.validation_rules.sentences import sentences
from edge.protojson.writer import finite_or_text

KEYWORDS: Final = {
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
BOUNDS: Final = frozenset({"lt", "lte", "gt", "gte"})


def given_rules(rules: Message) -> dict[str, Any]:
    """Returns the rules that are set, by name."""
    return {field.name: rules[field] for field in rules.desc().fields if field in rules}


def add_keywords(schema: Schema, kind: str, rules: Message, *, without: Iterable[str] = ()) -> list[str]:
    """Adds the keywords of the rules of one type, except those named in `without`. Returns sentences for the rules that
    have no keyword.
    """
    left: dict[str, Any] = {}
    for name, value in given_rules(rules).items():
        if name == "const" and kind == "bool":
            add_for_validators(schema, {"const": value})
        elif name in BOUNDS and not math.isfinite(value):
            continue  # every number in JSON is finite
        elif name in KEYWORDS:
            schema.update(dict.fromkeys(KEYWORDS[name], finite_or_text(value)))
        elif name == "in":
            schema["enum"] = list(map(finite_or_text, value))
        elif name == "not_in":
            add_for_validators(schema, {"not": {"enum": list(map(finite_or_text, value))}})
        elif name == "example":
            schema["examples"] = list(map(finite_or_text, value))
        elif name not in without:
            left[name] = value
    return sentences(kind, left)
