"""JSON Schemas of messages as ProtoJSON has them, each message type once for each use, under its full name.

A message in a request is another thing than the same message in an answer: fields are demanded there, unknown ones
refused, rules hold, and a 64-bit integer may be a number; in an answer a field that holds its default is left out.
"""

import json
import math
import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import Enum
from typing import Any, Final

from googleapis.google.api.field_behavior_pb import FieldBehavior, ext_field_behavior
from protobuf import (
    DescEnum,
    DescExtension,
    DescField,
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    DescOneof,
    Registry,
    ScalarType,
)
from protovalidate import CompilationError, EvaluationError
from protovalidate._gen.buf.validate.validate_pb import ext_oneof

from edge.openapi.comments import Comments
from edge.openapi.constraints import constrain
from edge.openapi.decimals import between
from edge.openapi.examples import example
from edge.openapi.values import (
    BOUNDED,
    SHARED_MESSAGES,
    Schema,
    aside,
    json_schema,
    note,
    nullable,
    scalar_schema,
    shared_name,
    text_schema,
    well_known_schema,
    wrapped,
)
from edge.protojson.fields import values_of
from edge.protojson.leaves import NULL_VALUE, WRAPPERS
from edge.protojson.readers import is_nullable
from edge.protojson.scalars import LONG, RANGES
from edge.reply.response_writer import JsonStyle
from mesh.contract.rules import field_rules, message_rules
from mesh.validation import Validator

FIELD_INFO: Final = "google.api.field_info"

_ENUM_NUMBERS: Final = {"type": "integer", "format": "int32", "minimum": -(2**31), "maximum": 2**31 - 1}
_FIELD_INFO_FORMATS: Final = {"UUID4": "uuid", "IPV4": "ipv4", "IPV6": "ipv6"}
_REQUIRED: Final = "LEGACY_REQUIRED"

EXAMPLES_MAX: Final = 3
_KEYS: Final = {
    ScalarType.BOOL: "^(true|false)$",
    **dict.fromkeys((ScalarType.UINT32, ScalarType.FIXED32), "^(0|[1-9][0-9]{0,9})$"),
    **dict.fromkeys((ScalarType.INT32, ScalarType.SINT32, ScalarType.SFIXED32), "^(0|-?[1-9][0-9]{0,9})$"),
}

Path = tuple[DescField, ...]
"""A field in a message: the fields from the outermost to it."""

_Element = DescMessage | DescEnum | ScalarType


class Use(Enum):
    """What a message is for. The value is what follows the type's name in the name of the schema."""

    ANSWER = ""
    INPUT = "-Input"
    UPDATE = "-Update"
    """A request that gives the fields to change: AIP-203's REQUIRED is about new resources."""


class Schemas:
    """The schemas that were asked for, and all that those refer to."""

    def __init__(
        self,
        comments: Comments,
        types: Registry,
        *,
        style: JsonStyle | None = None,
        ignore_unknown: bool = False,
        reserved: Iterable[str] = (),
    ) -> None:
        """`style` is that of answers; with `ignore_unknown` requests may hold more than the contract says. `reserved`
        are names of schemas that others make.
        """
        self._comments = comments
        self._types = types
        self._style = style or JsonStyle()
        self._ignore_unknown = ignore_unknown
        self._validator = Validator()
        self._names: dict[tuple[str, bool], str] = {}
        self._taken = {_as_class(name) for name in reserved}
        self._waiting: deque[tuple[str, Callable[[], Schema]]] = deque()

    def components(self) -> Iterator[tuple[str, Schema]]:
        """The schemas that were referred to since, with their names, each once."""
        while self._waiting:
            name, make = self._waiting.popleft()
            yield name, make()

    def message(self, message: DescMessage, use: Use) -> Schema:
        """The schema of a message: a reference, or what a well-known type is."""
        if message.type_name in WRAPPERS:
            return self._scalar(wrapped(message), use)
        schema = well_known_schema(message)
        if schema is None:
            return self._component(message.type_name + use.value, lambda: self.object(message, use))
        return self._component(message.type_name, lambda: schema) if message.type_name in SHARED_MESSAGES else schema

    def object(self, message: DescMessage, use: Use, *, without: Collection[Path] = ()) -> Schema:
        """The schema of a message written out. Fields at the paths `without` are given elsewhere."""
        left_out = {path[0] for path in without if len(path) == 1} | excluded(path[0] for path in without)
        fields = [field for field in message.fields if field not in left_out and not _is_hidden(field, use)]
        required = {field for field in fields if self._is_needed(field, use, without)}
        properties = {
            self._name(field, use): self.field(
                field, use, optional=field not in required, without=_inside(field, without)
            )
            for field in fields
        }
        for extension in self._types.extensions_for(message):
            properties[f"[{extension.type_name}]"] = self.field(extension, use)
        schema: Schema = {"type": "object", "properties": properties}
        if comment := self._comments.of(message.type_name, message.file):
            schema["description"] = comment
        if names := [self._name(field, use) for field in fields if field in required]:
            schema["required"] = names
        self.note_oneofs(schema, message, use, without=left_out)
        if use is not Use.ANSWER:
            self._note_rules(schema, message)
            if not self._ignore_unknown:
                schema["additionalProperties"] = False
        if message.deprecated:
            schema["deprecated"] = True
        return schema

    def field(
        self, field: DescField | DescExtension, use: Use, *, optional: bool = True, without: Collection[Path] = ()
    ) -> Schema:
        """The schema of a field. One that is `optional` in a request may be null. What is at the paths `without` in it
        is given elsewhere, and not demanded here.
        """
        has_rules = use is not Use.ANSWER and field_rules(field) is not None
        schema = self._value(field, use, shared=not has_rules)
        if isinstance(field.value, DescFieldValueMessage) and self._is_other(field.value.message, use, without):
            schema = self.object(field.value.message, use, without=without)
        self._describe(schema, field, constrained=use is not Use.ANSWER)
        said = behaviors(field)
        if FieldBehavior.OUTPUT_ONLY in said and use is not Use.ANSWER:
            schema["readOnly"] = True
        if FieldBehavior.INPUT_ONLY in said:
            schema["writeOnly"] = True
        return nullable(schema) if optional and use is not Use.ANSWER else schema

    def parameter(self, field: DescField) -> Schema:
        """The schema of a field as the text of a path, a query or a header gives it. A field that is an object in JSON
        has none, but a map of leaves.
        """
        shared = field_rules(field) is None
        match field.value:
            case DescFieldValueList(element=element):
                schema: Schema = {"type": "array", "items": self._text(element, shared=shared)}
            case DescFieldValueMap(key=key, value=element):
                schema = _map(key, self._text(element, shared=shared))
            case (
                DescFieldValueScalar(scalar=element)
                | DescFieldValueEnum(enum=element)
                | DescFieldValueMessage(message=element)
            ):
                schema = self._text(element, shared=shared)
        self._describe(schema, field, constrained=True, text=True)
        return schema

    def _describe(
        self, schema: Schema, field: DescField | DescExtension, *, constrained: bool, text: bool = False
    ) -> None:
        """Adds what the contract says about a field beside its type."""
        scope = field.parent.type_name if isinstance(field, DescField) else ""
        file = field.parent.file if isinstance(field, DescField) else field.file
        comment = self._comments.of(f"{scope}.{field.name}" if isinstance(field, DescField) else field.type_name, file)
        if FieldBehavior.IMMUTABLE in behaviors(field):
            comment = f"{comment}\n\nCan't be changed later.".strip()
        if comment:
            schema["description"] = comment
        if (default := _default(field)) is not None:
            if isinstance(field.value, DescFieldValueEnum):  # There are generators that write the name as it is.
                note(schema, f"The default is `{default}`.")
            else:
                schema["default"] = default
        rules, kind = field_rules(field) if constrained else None, self._format(field)
        if rules is not None:
            constrain(schema, rules, field, text=text)
        if kind is not None and not schema.keys() & {"format", "else"}:
            schema["format"] = kind
        wants_example = rules or kind or schema.get("format") in BOUNDED
        if wants_example and "examples" not in schema and (shown := example(schema)) is not None:
            schema["examples"] = [shown]
        if field.deprecated:
            schema["deprecated"] = True

    def _format(self, field: DescField | DescExtension) -> str | None:
        """What google.api.field_info says a string is."""
        info, options = self._types.extension(FIELD_INFO), field.proto.options
        if info is None or options is None or info.type not in options:
            return None
        return _FIELD_INFO_FORMATS.get(options[info.type].format.name)

    def _name(self, field: DescField, use: Use) -> str:
        return field.name if use is Use.ANSWER and self._style.proto_names else field.json_name

    def _value(self, field: DescField | DescExtension, use: Use, *, shared: bool) -> Schema:
        """What a field may hold. Where the schema is not `shared` with others, more may be said about it."""
        match field.value:
            case DescFieldValueList(element=element):
                return {"type": "array", "items": self._element(element, use, shared=shared)}
            case DescFieldValueMap(key=key, value=element):
                return _map(key, self._element(element, use, shared=shared))
            case (
                DescFieldValueScalar(scalar=element)
                | DescFieldValueEnum(enum=element)
                | DescFieldValueMessage(message=element)
            ):
                return self._element(element, use, shared=shared)

    def _element(self, element: _Element, use: Use, *, shared: bool) -> Schema:
        if isinstance(element, DescMessage):
            if element.type_name in WRAPPERS:
                return self._scalar(wrapped(element), use, shared=shared)
            return self.message(element, use)
        if isinstance(element, DescEnum):
            return _null(use) if element.type_name == NULL_VALUE else self._enum(element)
        return self._scalar(element, use, shared=shared)

    def _scalar(self, scalar: ScalarType, use: Use, *, shared: bool = True) -> Schema:
        """A reference to the schema of a scalar where it is long, so that clients have one type for it."""
        given = use is not Use.ANSWER
        name = shared_name(scalar, given=given) if shared else None
        schema = json_schema(scalar, given=given)
        return schema if name is None else self._component(name, lambda: schema, is_type=False)

    def _text(self, element: _Element, *, shared: bool) -> Schema:
        if isinstance(element, DescMessage):
            return (
                self._text(wrapped(element), shared=shared) if element.type_name in WRAPPERS else text_schema(element)
            )
        if isinstance(element, DescEnum):
            if element.type_name == NULL_VALUE:
                return {"type": "string", "enum": ["null", "NULL_VALUE", "0"]}
            return self._component(f"{element.type_name}-Text", lambda: self._enum_text(element))
        return self._scalar(element, Use.ANSWER) if shared and element in LONG else scalar_schema(element)

    def _enum(self, enum: DescEnum) -> Schema:
        return self._component(enum.type_name, lambda: self._enum_object(enum))

    def _enum_object(self, enum: DescEnum) -> Schema:
        """By name or by number; a number without a name may come from, or go to, one who knows a newer contract."""
        numbers = _ENUM_NUMBERS if enum.open else {"enum": sorted({value.number for value in enum.values})}
        choices = [{"type": "string", "enum": _names(enum)}, {"type": "integer", **numbers}]
        return self._about_enum(enum, {"anyOf": choices}, self._comments.of(enum.type_name, enum.file))

    def _enum_text(self, enum: DescEnum) -> Schema:
        """The same in a path or a query. Generators write it as it is only if it has the type of a string."""
        known = sorted({value.number for value in enum.values})
        numbers = between(-(2**31), 2**31 - 1) if enum.open else f"^({'|'.join(map(str, known))})$"
        schema: Schema = {"type": "string", "examples": _names(enum)[:EXAMPLES_MAX]}
        aside(schema, {"anyOf": [{"enum": _names(enum)}, {"pattern": numbers}]})
        names = ", ".join(f"`{name}`" for name in _names(enum))
        comment = self._comments.of(enum.type_name, enum.file)
        return self._about_enum(enum, schema, "\n\n".join(filter(None, (comment, f"One of {names}, or its number."))))

    def _about_enum(self, enum: DescEnum, schema: Schema, comment: str) -> Schema:
        """Adds what the contract says about an enum and its values."""
        lines = [comment]
        for value in values_of(enum):
            comment = self._comments.of(f"{enum.type_name}.{value.name}", enum.file)
            if about := " ".join([*comment.split(), *(["Deprecated."] if value.deprecated else [])]):
                lines.append(f"- `{value.name}`: {about}")
        if description := "\n".join(filter(None, lines)):
            schema["description"] = description
        if enum.deprecated:
            schema["deprecated"] = True
        return schema

    def demanded(self, message: DescMessage) -> frozenset[str]:
        """The fields, and oneofs, whose absence breaks a rule of the contract."""
        if not _has_rules(message):
            return frozenset()
        try:
            return frozenset(violation.field for violation in self._validator.violations(message.type()))
        except (CompilationError, EvaluationError):
            return frozenset()  # A rule that can't be read or can't judge says nothing that could be shown here.

    def demands(self, message: DescMessage, use: Use, without: Collection[Path]) -> bool:
        """Whether a message in a request is wrong if nothing of it is given but what is at the paths `without`."""
        given = {path[0] for path in without}
        left = [field for field in message.fields if (field,) not in without and field not in excluded(given)]
        oneofs = [oneof.fields for oneof in message.oneofs if needs_one(oneof)]
        rules = message_rules(message)
        for rule in rules.oneof if rules is not None else ():
            oneofs += [[field for field in message.fields if field.name in rule.fields]] if rule.required else []
        return any(self._is_needed(field, use, without) for field in left) or any(
            given.isdisjoint(members) for members in oneofs
        )

    def _is_needed(self, field: DescField, use: Use, without: Collection[Path]) -> bool:
        """Whether a message must have this field. One that holds what is given elsewhere is there already, and needed
        only for the rest that it must hold.
        """
        if use is Use.ANSWER:
            return _is_required(field, use)
        inside = _inside(field, without)
        if inside and isinstance(field.value, DescFieldValueMessage):
            return self.demands(field.value.message, use, inside)
        return field.name in self.demanded(field.parent) or _is_required(field, use)

    def _is_other(self, message: DescMessage, use: Use, without: Collection[Path]) -> bool:
        """Whether a message is described in another way if something in it is given elsewhere."""
        first = [path[0] for path in without if path]
        if excluded(first):
            return True
        for field in dict.fromkeys(first):
            inside = _inside(field, without)
            if self._is_needed(field, use, ()) or (
                isinstance(field.value, DescFieldValueMessage) and self._is_other(field.value.message, use, inside)
            ):
                return True
        return False

    def note_oneofs(
        self, schema: Schema, message: DescMessage, use: Use, *, without: Collection[DescField] = ()
    ) -> None:
        """Adds that no two members of a oneof are given, and one if a rule says so. Fields `without` are not there."""
        there = {field.name: field for field in message.fields if field not in without}
        for oneof in message.oneofs:
            members = [field for field in oneof.fields if field.name in there]
            exactly = use is not Use.ANSWER and needs_one(oneof) and len(members) == len(oneof.fields)
            if members and (len(members) > 1 or exactly):
                self._note_oneof(schema, members, use, exactly=exactly)
        rules = message_rules(message) if use is not Use.ANSWER else None
        for rule in rules.oneof if rules is not None else ():
            members = [there[name] for name in rule.fields if name in there]
            if members:
                exactly = rule.required and len(members) == len(rule.fields)
                self._note_oneof(schema, members, use, exactly=exactly)

    def _note_oneof(self, schema: Schema, members: list[DescField], use: Use, *, exactly: bool) -> None:
        given = [self._given(field, use) for field in members]
        aside(schema, {"oneOf": given if exactly else [*given, {"not": {"anyOf": given}}]})
        names = ", ".join(f"`{self._name(field, use)}`" for field in members)
        note(schema, f"{'Exactly' if exactly else 'At most'} one of {names}.")

    def _given(self, field: DescField, use: Use) -> Schema:
        """That a field is given. One that is null in a request is not, unless null is a value of it."""
        name = self._name(field, use)
        schema: Schema = {"required": [name]}
        if use is not Use.ANSWER and not is_nullable(field):
            schema["properties"] = {name: {"not": {"type": "null"}}}
        return schema

    def _note_rules(self, schema: Schema, message: DescMessage) -> None:
        """The rules of a message as a whole, by their messages."""
        rules = message_rules(message)
        texts = [rule.message for rule in rules.cel if rule.message] if rules is not None else []
        if texts:
            note(schema, *texts)

    def named(self, name: str, schema: Schema) -> Schema:
        """A reference to a schema under this name, which no other has."""
        return self._component(name, lambda: schema, is_type=False)

    def _component(self, name: str, make: Callable[[], Schema], *, is_type: bool = True) -> Schema:
        """A reference to a schema of the components, which is made later. `is_type` says that the contract has this
        name, or else the document. Two names of which generators would make the same class are told apart.
        """
        given = self._names.get((name, is_type))
        if given is None:
            given, number = name, 2
            while _as_class(given) in self._taken:
                given, number = f"{name}-{number}", number + 1
            self._taken.add(_as_class(given))
            self._names[name, is_type] = given
            self._waiting.append((given, make))
        return {"$ref": f"#/components/schemas/{given}"}


def _as_class(name: str) -> str:
    """What is left of a name in the class that a generator makes of it, in whatever case."""
    return re.sub("[^A-Za-z0-9]", "", name).lower()


def behaviors(field: DescField | DescExtension) -> frozenset[FieldBehavior]:
    """What google.api.field_behavior says about a field (AIP-203)."""
    options = field.proto.options
    if options is None or ext_field_behavior not in options:
        return frozenset()
    given: list[FieldBehavior] = options[ext_field_behavior]
    return frozenset(given)


def excluded(given: Iterable[DescField]) -> frozenset[DescField]:
    """The fields that can't be given beside these, as members of the same oneofs."""
    fields = set(given)
    oneofs = [
        field.value.oneof
        for field in fields
        if not isinstance(field.value, DescFieldValueList | DescFieldValueMap) and field.value.oneof is not None
    ]
    return frozenset(member for oneof in oneofs for member in oneof.fields if member not in fields)


def _names(enum: DescEnum) -> list[str]:
    """The names of an enum's values in JSON."""
    return [value.json_name or value.name for value in values_of(enum)]


def _inside(field: DescField, paths: Collection[Path]) -> list[Path]:
    """The paths in a field of those that lead through it."""
    return [path[1:] for path in paths if path[0] is field and len(path) > 1]


def _null(use: Use) -> Schema:
    """NullValue, in JSON null. No generator has a type for what is nothing else."""
    schema: Schema = {"description": "Null."}
    aside(schema, {"type": "null"} if use is Use.ANSWER else {"enum": [None, "NULL_VALUE", 0]})
    return schema


def _is_hidden(field: DescField, use: Use) -> bool:
    return use is Use.ANSWER and FieldBehavior.INPUT_ONLY in behaviors(field)


def _is_required(field: DescField, use: Use) -> bool:
    if field.presence.name == _REQUIRED:
        return True
    said = behaviors(field)
    return use is Use.INPUT and FieldBehavior.REQUIRED in said and FieldBehavior.OUTPUT_ONLY not in said


def _has_rules(message: DescMessage) -> bool:
    return any(field_rules(field) is not None for field in message.fields) or any(map(needs_one, message.oneofs))


def needs_one(oneof: DescOneof) -> bool:
    """Whether a rule demands a member of a oneof."""
    options = oneof.proto.options
    return options is not None and ext_oneof in options and bool(options[ext_oneof].required)


def _map(key: ScalarType, values: Schema) -> Schema:
    schema: Schema = {"type": "object", "additionalProperties": values}
    if key is not ScalarType.STRING:
        schema["propertyNames"] = {"pattern": _KEYS.get(key) or between(*RANGES[key])}
    return schema


def _default(field: DescField | DescExtension) -> Any:
    """The default that a contract in proto2 names, as it is in JSON; None if it names none."""
    if not field.proto.has_field("default_value"):
        return None
    text: str = field.proto.default_value
    match field.value:
        case DescFieldValueScalar(scalar=scalar) if scalar not in LONG and scalar is not ScalarType.BYTES:
            if scalar is ScalarType.STRING:
                return text
            value = json.loads(text.replace("nan", "NaN").replace("inf", "Infinity"))
            return value if not isinstance(value, float) or math.isfinite(value) else None
        case DescFieldValueScalar(scalar=ScalarType.BYTES):
            return None  # It is escaped in C's way there.
    return text
