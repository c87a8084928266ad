"""The rules of 64-bit integers, and of all integers that are the keys of maps, as JSON Schema."""

from protobuf import Message, ScalarType

from edge.openapi.decimal_patterns import add_range_pattern, range_pattern
from edge.openapi.json_schema import Schema, add_for_validators
from edge.openapi.validation_rules.keywords import given_rules
from edge.openapi.validation_rules.sentences import sentences
from edge.protojson.scalars import RANGES


def constrain_long(schema: Schema, kind: str, rules: Message) -> list[str]:
    """Adds the rules of an integer that is digits in a string, or such or a number: bounds limit the number, and the
    pattern of the digits. Returns sentences for rules that have no keyword.
    """
    given = given_rules(rules)
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
        return sentences(kind, given)
    least, greatest = RANGES[ScalarType[kind.upper()]]
    least, greatest = least if lower is None else lower, greatest if upper is None else upper
    for keyword in ("if", "else"):
        schema.pop(keyword, None)
    if is_text:
        add_range_pattern(schema, least, greatest)
    else:
        schema |= {"pattern": range_pattern(least, greatest), "minimum": least, "maximum": greatest}
    schema.update({"examples": [str(each) for each in given["example"]]} if "example" in given else {})
    if excluded := given.get("not_in"):
        add_for_validators(schema, {"not": {"enum": [*map(str, excluded), *([] if is_text else excluded)]}})
    return []
