"""JSON Schemas of enums."""

from typing import Final

from protobuf import DescEnum

from edge.openapi.comments import Comments
from edge.openapi.decimal_patterns import range_pattern
from edge.openapi.json_schema import Schema, add_for_validators
from edge.openapi.schemas.components import Components
from edge.openapi.schemas.schema_variant import SchemaVariant
from edge.protojson.fields import values_in_order
from edge.protojson.leaf_readers import NULL_VALUE

EXAMPLES_MAX: Final = 3

_NUMBERS: Final = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}


class EnumSchemas:
    """The schemas of a contract's enums, each a component."""

    def __init__(self, components: Components, comments: Comments) -> None:
        self._components = components
        self._comments = comments

    def in_json(self, enum: DescEnum, variant: SchemaVariant) -> Schema:
        """Returns the schema of an enum in JSON."""
        if enum.type_name == NULL_VALUE:
            return _null(variant)
        return self._components.add(enum.type_name, lambda: self._json_schema(enum))

    def in_text(self, enum: DescEnum) -> Schema:
        """Returns the schema of an enum in a path or a query."""
        if enum.type_name == NULL_VALUE:
            return {"type": "string", "enum": ["null", "NULL_VALUE", "0"]}
        return self._components.add(f"{enum.type_name}-Text", lambda: self._text_schema(enum))

    def _json_schema(self, enum: DescEnum) -> Schema:
        """Returns the schema of names and numbers. A number without a name may come from, or go to, a peer with a newer
        contract.
        """
        numbers = _NUMBERS if enum.open else {"enum": sorted({value.number for value in enum.values})}
        choices = [{"type": "string", "enum": _names(enum)}, {"type": "integer", **numbers}]
        return self._described(enum, {"anyOf": choices}, self._comments.of(enum.type_name))

    def _text_schema(self, enum: DescEnum) -> Schema:
        """Returns the same for text. Generators write the value unchanged only if its type is string."""
        known = sorted({value.number for value in enum.values})
        numbers = range_pattern(-(2**31), 2**31 - 1) if enum.open else f"^({'|'.join(map(str, known))})$"
        schema: Schema = {"type": "string", "examples": _names(enum)[:EXAMPLES_MAX]}
        add_for_validators(schema, {"anyOf": [{"enum": _names(enum)}, {"pattern": numbers}]})
        names = ", ".join(f"`{name}`" for name in _names(enum))
        comment = self._comments.of(enum.type_name)
        return self._described(enum, schema, "\n\n".join(filter(None, (comment, f"One of {names}, or its number."))))

    def _described(self, enum: DescEnum, schema: Schema, comment: str) -> Schema:
        """Adds the contract's comments on an enum and its values."""
        lines = [comment]
        for value in values_in_order(enum):
            comment = self._comments.of(f"{enum.type_name}.{value.name}")
            if about := " ".join([*comment.split(), *(["Deprecated."] if value.deprecated else [])]):
                lines.append(f"- `{value.name}`: {about}")
        if description := "\n".join(filter(None, lines)):
            schema["description"] = description
        if enum.deprecated:
            schema["deprecated"] = True
        return schema


def _names(enum: DescEnum) -> list[str]:
    """Returns the names of an enum's values in JSON."""
    return [value.json_name or value.name for value in values_in_order(enum)]


def _null(variant: SchemaVariant) -> Schema:
    """Returns the schema of NullValue, which is null in JSON. Generators have no type for null alone."""
    schema: Schema = {"description": "Null."}
    add_for_validators(
        schema, {"type": "null"} if variant is SchemaVariant.RESPONSE else {"enum": [None, "NULL_VALUE", 0]}
    )
    return schema
