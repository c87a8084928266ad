"""JSON Schemas of messages as ProtoJSON writes them: one for each message type and variant, under the type's full name.

A message in a request differs from the same message in a response. In a request fields may be required, unknown ones
are rejected, rules hold, and a 64-bit integer may be a number; a response leaves out a field that holds its default.
"""

from collections.abc import Collection

from googleapis.google.api.field_behavior_pb import FieldBehavior
from protobuf import (
    DescEnum,
    DescExtension,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
    Registry,
    ScalarType,
)

from edge.openapi.comments import Comments
from edge.openapi.json_schema import Schema, add_description, nullable
from edge.openapi.schemas.components import Components
from edge.openapi.schemas.enum_schemas import EnumSchemas
from edge.openapi.schemas.field_annotations import FieldAnnotations
from edge.openapi.schemas.field_behavior import behaviors
from edge.openapi.schemas.field_paths import FieldPath, paths_inside
from edge.openapi.schemas.map_schema import map_schema
from edge.openapi.schemas.oneofs import Oneofs, excluded_by
from edge.openapi.schemas.requirements import Requirements
from edge.openapi.schemas.scalar_schemas import component_name, scalar_in_json, scalar_in_text
from edge.openapi.schemas.schema_variant import SchemaVariant
from edge.openapi.schemas.well_known_schemas import (
    COMPONENT_TYPES,
    well_known_schema,
    well_known_schema_in_text,
    wrapped_scalar,
)
from edge.protojson.fields import is_resource_mask
from edge.protojson.leaf_readers import WRAPPERS
from edge.protojson.scalars import INT64_TYPES
from edge.reply.response_writer import JsonStyle
from mesh.contract.descriptors import element_of
from mesh.contract.rules import field_rules, message_rules

_Element = DescMessage | DescEnum | ScalarType


class MessageSchemas:
    """The schemas of a contract's messages and fields. They refer to `components`, which collects the others."""

    def __init__(
        self,
        components: Components,
        comments: Comments,
        types: Registry,
        *,
        style: JsonStyle | None = None,
        ignore_unknown: bool = False,
    ) -> None:
        """`style` is that of responses. With `ignore_unknown` requests may hold fields that the contract lacks."""
        self.components = components
        self.requirements = Requirements()
        self._comments = comments
        self._types = types
        self._style = style or JsonStyle()
        self._ignore_unknown = ignore_unknown
        self._enums = EnumSchemas(components, comments)
        self._oneofs = Oneofs(self._name)
        self._annotations = FieldAnnotations(comments, types)

    def message(self, message: DescMessage, variant: SchemaVariant) -> Schema:
        """Returns the schema of a message: a reference, or that of a well-known type."""
        if message.type_name in WRAPPERS:
            return self._scalar(wrapped_scalar(message), variant)
        schema = well_known_schema(message)
        if schema is None:
            return self.components.add(message.type_name + variant.value, lambda: self.object(message, variant))
        if message.type_name in COMPONENT_TYPES:
            return self.components.add(message.type_name, lambda: schema)
        return schema

    def object(self, message: DescMessage, variant: SchemaVariant, *, without: Collection[FieldPath] = ()) -> Schema:
        """Returns the schema of a message written out, without the fields at the paths `without`, which another part of
        the request holds.
        """
        left_out = {path[0] for path in without if len(path) == 1} | excluded_by(path[0] for path in without)
        fields = [field for field in message.fields if field not in left_out and not _is_hidden(field, variant)]
        required = {field for field in fields if self.requirements.include(field, variant, without)}
        properties = {
            self._name(field, variant): self.field(
                field, variant, optional=field not in required, without=paths_inside(field, without)
            )
            for field in fields
        }
        for extension in self._types.extensions_for(message):
            properties[f"[{extension.type_name}]"] = self.field(extension, variant)
        schema: Schema = {"type": "object", "properties": properties}
        if comment := self._comments.of(message.type_name):
            schema["description"] = comment
        if names := [self._name(field, variant) for field in fields if field in required]:
            schema["required"] = names
        self._oneofs.add(schema, message, variant, without=left_out)
        if variant is not SchemaVariant.RESPONSE:
            _describe_rules(schema, message)
            if not self._ignore_unknown:
                schema["additionalProperties"] = False
        if message.deprecated:
            schema["deprecated"] = True
        return schema

    def field(
        self,
        field: DescField | DescExtension,
        variant: SchemaVariant,
        *,
        optional: bool = True,
        without: Collection[FieldPath] = (),
    ) -> Schema:
        """Returns the schema of a field. An `optional` one may be null in a request. The fields at the paths `without`
        in it are left out, because another part of the request holds them.
        """
        has_rules = variant is not SchemaVariant.RESPONSE and field_rules(field) is not None
        schema = self._value(field, variant, shared=not has_rules)
        value = field.value
        if isinstance(value, DescFieldValueMessage) and self.requirements.differ(value.message, variant, without):
            schema = self.object(value.message, variant, without=without)
        self._annotations.add(schema, field, constrained=variant is not SchemaVariant.RESPONSE)
        declared = behaviors(field)
        if FieldBehavior.OUTPUT_ONLY in declared and variant is not SchemaVariant.RESPONSE:
            schema["readOnly"] = True
        if FieldBehavior.INPUT_ONLY in declared:
            schema["writeOnly"] = True
        return nullable(schema) if optional and variant is not SchemaVariant.RESPONSE else schema

    def parameter(self, field: DescField) -> Schema:
        """Returns the schema of a field in the text of a path, a query or a header. A field whose JSON is an object has
        none, unless it is a map of leaves.
        """
        shared = field_rules(field) is None
        match field.value:
            case DescFieldValueList(element=element):
                schema: Schema = {"type": "array", "items": self._text(element, shared=shared)}
            case DescFieldValueMap(key=key, value=element):
                schema = map_schema(key, self._text(element, shared=shared))
            case _:
                schema = self._text(element_of(field), shared=shared)
        self._annotations.add(schema, field, constrained=True, is_text=True)
        return schema

    def _name(self, field: DescField, variant: SchemaVariant) -> str:
        return field.name if variant is SchemaVariant.RESPONSE and self._style.proto_names else field.json_name

    def _value(self, field: DescField | DescExtension, variant: SchemaVariant, *, shared: bool) -> Schema:
        """Returns the schema of a field's values. Only one that is not `shared` may be edited."""
        match field.value:
            case DescFieldValueMessage(message=message) if (
                is_resource_mask(field) and variant is not SchemaVariant.RESPONSE
            ):
                return well_known_schema_in_text(message)  # as in a query, because it is read in the resource
            case DescFieldValueList(element=element):
                return {"type": "array", "items": self._element(element, variant, shared=shared)}
            case DescFieldValueMap(key=key, value=element):
                return map_schema(key, self._element(element, variant, shared=shared))
        return self._element(element_of(field), variant, shared=shared)

    def _element(self, element: _Element, variant: SchemaVariant, *, shared: bool) -> Schema:
        if isinstance(element, DescMessage):
            if element.type_name in WRAPPERS:
                return self._scalar(wrapped_scalar(element), variant, shared=shared)
            return self.message(element, variant)
        if isinstance(element, DescEnum):
            return self._enums.in_json(element, variant)
        return self._scalar(element, variant, shared=shared)

    def _scalar(self, scalar: ScalarType, variant: SchemaVariant, *, shared: bool = True) -> Schema:
        """Returns the schema of a scalar: a reference where it is long, so that clients have one type for it."""
        in_request = variant is not SchemaVariant.RESPONSE
        name = component_name(scalar, in_request=in_request) if shared else None
        schema = scalar_in_json(scalar, in_request=in_request)
        return schema if name is None else self.components.add(name, lambda: schema, is_type=False)

    def _text(self, element: _Element, *, shared: bool) -> Schema:
        if isinstance(element, DescMessage):
            if element.type_name in WRAPPERS:
                return self._text(wrapped_scalar(element), shared=shared)
            return well_known_schema_in_text(element)
        if isinstance(element, DescEnum):
            return self._enums.in_text(element)
        return (
            self._scalar(element, SchemaVariant.RESPONSE)
            if shared and element in INT64_TYPES
            else scalar_in_text(element)
        )


def _describe_rules(schema: Schema, message: DescMessage) -> None:
    """Adds the messages of the rules that concern a message as a whole."""
    rules = message_rules(message)
    texts = [rule.message for rule in rules.cel if rule.message] if rules is not None else []
    if texts:
        add_description(schema, *texts)


def _is_hidden(field: DescField, variant: SchemaVariant) -> bool:
    return variant is SchemaVariant.RESPONSE and FieldBehavior.INPUT_ONLY in behaviors(field)
