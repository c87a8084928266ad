"""Checks of one google.api.http rule against the messages of its method."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import combinations
from typing import Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
from protobuf import ScalarType

from edge.contract.types import json_name
from edge.httprule.template import REST, PathTemplate, Variable
from edge.protojson.leaf_readers import TEXT_MESSAGES
from edge.protojson.scalars import FROM_TEXT
from edge.protojson.violations import InvalidValue

WHOLE_BODY: Final = "*"

Messages = Mapping[str, DescriptorProto]
"""Every message of an image by its full name."""

_MESSAGE_TYPES: Final = (FieldDescriptorProto.TYPE_MESSAGE, FieldDescriptorProto.TYPE_GROUP)
_MESSAGE, _SINGLE = "a message", "a single value"
# Types whose text form can contain slashes; base64 does too.
_HOLDS_SLASHES: Final = (FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_BYTES)
_SCALARS: Final = frozenset(scalar.value for scalar in FROM_TEXT)
_WRAPS_SLASHES: Final = ("google.protobuf.StringValue", "google.protobuf.BytesValue")


class RuleError(ValueError):
    """A rule that the edge can't serve. `column` counts from 1; 0 stands for the whole rule."""

    def __init__(self, column: int, why: str) -> None:
        super().__init__(why)
        self.column = column
        self.why = why


class RuleCheck:
    """The checks of one rule against the messages of its method."""

    def __init__(self, request: str, response: str, template: PathTemplate, body: str, messages: Messages) -> None:
        """`request` and `response` are full names of types in `messages`; `body` is the value of the rule."""
        self._request = request
        self._response = response
        self._template = template
        self._body = "" if body == WHOLE_BODY else body
        self._messages = messages

    def check(self, response_body: str) -> None:
        """Raises RuleError if the rule names a field that does not exist or has an unsuitable type."""
        for variable in self._template.variables:
            self._check_variable(variable)
        if self._body:
            self._field(self._request, self._body, 0, "body: ")
            if any(variable.field_path == (self._body,) for variable in self._template.variables):
                raise RuleError(0, f"{self._body} is both the body and a variable of the path")
        if response_body:
            self._field(self._response, response_body, 0, "response_body: ")

    def contradictions(self) -> Iterator[tuple[int, str]]:
        """Yields the columns and descriptions of what no request can satisfy in a checked rule, or must repeat."""
        for one, other in combinations(self._template.variables, 2):
            if why := self._between(one, other):
                yield other.column, f"no request can satisfy this rule: {why}"
        for variable in self._template.variables:
            if why := self._in_pattern(variable):
                yield variable.column, f"no request can satisfy this rule: {why}"
            if self._body and (why := self._with_body(variable)):
                yield variable.column, f"no request can have the body {self._body}: {why}"
        if self._body and self._is_decided(self._body):
            yield 0, f"the path sets every field of the body {self._body}; a request can only repeat them there"

    def _between(self, one: Variable, other: Variable) -> str:
        """Returns the reason why no path can have both variables, empty if one can."""
        if oneof := self._shared_oneof(one.field_path, other.field_path):
            return f"{_text(one)} and {_text(other)} are both members of the oneof {oneof}"
        shorter, longer = sorted((one.field_path, other.field_path), key=len)
        if longer[: len(shorter)] == shorter:
            return f"{'.'.join(longer)} is part of {'.'.join(shorter)}, which the path sets as a whole"
        return ""

    def _with_body(self, variable: Variable) -> str:
        """Returns the reason why no request can have both the variable and the body, empty if one can."""
        if oneof := self._shared_oneof((self._body,), variable.field_path):
            return f"the path sets {_text(variable)}, another member of the oneof {oneof}"
        if variable.field_path[0] == self._body and self._message_at((self._body,)) in TEXT_MESSAGES:
            return f"the path sets {_text(variable)}, which is part of it, but a body can only set it as a whole"
        return ""

    def _in_pattern(self, variable: Variable) -> str:
        """Returns the reason why no value of the variable's field matches its pattern, empty if one may."""
        template, captured = self._template, range(variable.start, variable.end)
        slashes = sum(template.literal[at] or template.segments[at] != REST for at in captured) > 1
        text = template.segments[variable.start] if len(captured) == 1 and template.literal[variable.start] else None
        if not slashes and text is None:
            return ""
        leaf = self._leaf(variable.field_path)
        if leaf.type in _HOLDS_SLASHES or _message_of(leaf) in _WRAPS_SLASHES:
            return ""
        if slashes:
            return f"{_text(variable)} captures several segments, but no value of its type contains a slash"
        if leaf.type in _SCALARS:
            try:
                FROM_TEXT[ScalarType(leaf.type)](text or "")
            except InvalidValue as wrong:
                return f"{_text(variable)} is always {text!r}, which {wrong.description}"
        return ""

    def _check_variable(self, variable: Variable) -> None:
        """Raises RuleError unless the variable's path leads to a field with a text form."""
        at, passed, kind = self._request, "", _MESSAGE
        for name in variable.field_path:
            if kind == _SINGLE:
                raise RuleError(variable.column, f"{passed} is not a message and has no field {name}")
            if kind != _MESSAGE:
                why = f"{passed} is {kind}, not a message: a path can't set its field {name}"
                raise RuleError(variable.column, why)
            field = self._field(at, name, variable.column)
            passed = f"{passed}.{name}" if passed else name
            at, kind = _message_of(field), self._kind(field)
        if kind == _MESSAGE and at not in TEXT_MESSAGES:
            raise RuleError(variable.column, f"{passed} is a message; a path can only set a field of it")
        if kind not in (_MESSAGE, _SINGLE):
            raise RuleError(variable.column, f"{passed} is {kind}; a path can't set it")

    def _kind(self, field: FieldDescriptorProto) -> str:
        """Returns the kind of a field in words."""
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            entry = self._messages.get(field.type_name[1:]) if field.type in _MESSAGE_TYPES else None
            return "a map, which is repeated" if entry is not None and entry.options.map_entry else "repeated"
        return _MESSAGE if _message_of(field) else _SINGLE

    def _field(self, message: str, name: str, column: int, where: str = "") -> FieldDescriptorProto:
        """Returns the field with a proto name. Raises RuleError if there is none."""
        fields = self._messages[message].field if message in self._messages else ()
        found = next((field for field in fields if field.name == name), None)
        if found is not None:
            return found
        meant = next((field.name for field in fields if name in (field.json_name, json_name(field.name))), "")
        hint = f"; use the proto name {meant}" if meant else ""
        raise RuleError(column, f"{where}{message} has no field {name}{hint}")

    def _shared_oneof(self, one: tuple[str, ...], other: tuple[str, ...]) -> str:
        """Returns the name of the oneof in which two paths set different members, empty if there is none."""
        at = self._request
        for name, other_name in zip(one, other, strict=False):
            if name != other_name:
                if not self._messages[at].oneof_decl:
                    return ""
                field, other_field = self._field(at, name, 0), self._field(at, other_name, 0)
                shared = field.HasField("oneof_index") and other_field.HasField("oneof_index")
                if shared and field.oneof_index == other_field.oneof_index:
                    return self._messages[at].oneof_decl[field.oneof_index].name
                return ""
            at = _message_of(self._field(at, name, 0))
        return ""

    def _leaf(self, path: tuple[str, ...]) -> FieldDescriptorProto:
        *around, name = path
        return self._field(self._message_at(around), name, 0)

    def _message_at(self, path: Iterable[str]) -> str:
        """Returns the type of the message at a path of the request."""
        at = self._request
        for name in path:
            at = _message_of(self._field(at, name, 0))
        return at

    def _is_decided(self, body: str) -> bool:
        paths = [variable.field_path for variable in self._template.variables]
        decided = {path[1] for path in paths if path[0] == body and len(path) == 2}
        return bool(decided) and decided == {field.name for field in self._messages[self._message_at((body,))].field}


def _text(variable: Variable) -> str:
    return ".".join(variable.field_path)


def _message_of(field: FieldDescriptorProto) -> str:
    """Returns the type of a singular message field, empty for any other field."""
    is_single = field.type in _MESSAGE_TYPES and field.label != FieldDescriptorProto.LABEL_REPEATED
    return field.type_name[1:] if is_single else ""
