"""The annotations and constraints that a contract gives a field beside its type."""

import json
import math
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import DescExtension, DescField, DescFieldValueEnum, DescFieldValueScalar, Registry, ScalarType

from edge.openapi.comments import Comments
from edge.openapi.examples import example
from edge.openapi.json_schema import Schema, add_description
from edge.openapi.schemas.field_behavior import behaviors
from edge.openapi.schemas.scalar_schemas import BOUNDED_FORMATS
from edge.openapi.validation_rules.field_rules import constrain
from edge.protojson.scalars import INT64_TYPES
from mesh.contract.rules import field_rules

FIELD_INFO: Final = "google.api.field_info"

_FORMATS: Final = {"UUID4": "uuid", "IPV4": "ipv4", "IPV6": "ipv6"}


class FieldAnnotations:
    """Adds to the schemas of fields their comments, defaults, rules, formats and examples."""

    def __init__(self, comments: Comments, types: Registry) -> None:
        self._comments = comments
        self._types = types

    def add(
        self, schema: Schema, field: DescField | DescExtension, *, constrained: bool, is_text: bool = False
    ) -> None:
        """Adds a field's annotations to its schema, and its rules if it is `constrained`. `is_text` says that a path or
        a query holds the value.
        """
        if comment := self._comment(field):
            schema["description"] = comment
        if (default := _default(field)) is not None:
            if isinstance(field.value, DescFieldValueEnum):  # Some generators write the name as it is.
                add_description(schema, f"The default is `{default}`.")
            else:
                schema["default"] = default
        rules, kind = field_rules(field) if constrained else None, self._format(field)
        if rules is not None:
            constrain(schema, rules, field, is_text=is_text)
        if kind is not None and not schema.keys() & {"format", "else"}:
            schema["format"] = kind
        wants_example = rules or kind or schema.get("format") in BOUNDED_FORMATS
        if wants_example and "examples" not in schema and (shown := example(schema)) is not None:
            schema["examples"] = [shown]
        if field.deprecated:
            schema["deprecated"] = True

    def _comment(self, field: DescField | DescExtension) -> str:
        if isinstance(field, DescField):
            comment = self._comments.of(f"{field.parent.type_name}.{field.name}")
        else:
            comment = self._comments.of(field.type_name)
        if FieldBehavior.IMMUTABLE in behaviors(field):
            comment = f"{comment}\n\nCan't be changed later.".strip()
        return comment

    def _format(self, field: DescField | DescExtension) -> str | None:
        """Returns the format that google.api.field_info gives a string, None if it gives none."""
        info, options = self._types.extension(FIELD_INFO), field.proto.options
        if info is None or options is None or info.type not in options:
            return None
        return _FORMATS.get(options[info.type].format.name)


def _default(field: DescField | DescExtension) -> Any:
    """Returns the JSON of the default that a contract in proto2 declares, None if it declares none."""
    if not field.proto.has_field("default_value"):
        return None
    text: str = field.proto.default_value
    match field.value:
        case DescFieldValueScalar(scalar=scalar) if scalar not in INT64_TYPES and scalar is not ScalarType.BYTES:
            if scalar is ScalarType.STRING:
                return text
            value = json.loads(text.replace("nan", "NaN").replace("inf", "Infinity"))
            return value if not isinstance(value, float) or math.isfinite(value) else None
        case DescFieldValueScalar(scalar=ScalarType.BYTES):
            return None  # The descriptor escapes it as C does.
    return text
