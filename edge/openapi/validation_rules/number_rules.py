"""The rules of floats and of integers of up to 32 bits as JSON Schema."""

import math
from typing import Any

from protobuf import Message

from edge.openapi.json_schema import Schema, add_for_validators
from edge.openapi.validation_rules.keywords import BOUNDS, KEYWORDS, add_keywords, given_rules
from edge.protojson.writer import finite_or_text


def constrain_number(schema: Schema, kind: str, rules: Message) -> list[str]:
    """Adds the rules of a number to its schema. Returns sentences for those that have no keyword."""
    given = given_rules(rules)
    lower, upper = given.get("gt", given.get("gte")), given.get("lt", given.get("lte"))
    if "anyOf" in schema:
        _limit_to_finite(schema, given, lower, upper)
    if lower is None or upper is None or lower <= upper:
        if math.isfinite(given.get("gt", math.inf)):
            schema.pop("minimum", None)
        if math.isfinite(given.get("lt", math.inf)):
            schema.pop("maximum", None)
        return add_keywords(schema, kind, rules, without={"finite"})
    # A lower bound above the upper bound excludes the numbers between them.
    bounds = {name: given[name] for name in given if name in BOUNDS and math.isfinite(given[name])}
    add_for_validators(schema, {"anyOf": [{KEYWORDS[name][0]: value} for name, value in bounds.items()]})
    rest: Schema = {}
    notes = add_keywords(rest, kind, rules, without={"finite"})
    schema.update({keyword: value for keyword, value in rest.items() if not keyword.endswith("imum")})
    return notes


def _limit_to_finite(schema: Schema, given: dict[str, Any], lower: float | None, upper: float | None) -> None:
    """Keeps the texts of non-finite numbers that satisfy the rules. No bound admits NaN."""
    number, _ = schema.pop("anyOf")
    texts = []
    if not given.keys() & {"finite", "const", "in"}:
        is_outside = lower is not None and upper is not None and lower > upper
        texts += ["NaN"] if lower is None and upper is None else []
        texts += ["Infinity"] if upper is None or is_outside or given.get("lte") == math.inf else []
        texts += ["-Infinity"] if lower is None or is_outside or given.get("gte") == -math.inf else []
    if texts:
        schema["anyOf"] = [number, {"type": "string", "enum": texts}]
        return
    schema.update(number)
    if any(isinstance(finite_or_text(value), str) for value in (given.get("const"), *given.get("in", ()))):
        schema["type"] = [number["type"], "string"]  # add_keywords() lists these texts
