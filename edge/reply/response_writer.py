"""From a response message to the body that the client asked for: ProtoJSON, trimmed or indented, or binary."""

import json
from dataclasses import dataclass
from typing import Any

from protobuf import (
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
    Message,
    Registry,
)

from edge.bind.system_parameters import ALT, FIELDS, NONE_GIVEN, PROTO, SystemParameters
from edge.protojson.field_selection import Selection, parse
from edge.protojson.field_selection import trim as trim_to
from edge.protojson.leaves import TEXT_MESSAGES
from edge.protojson.problems import InvalidValue, Problems
from edge.protojson.writer import to_json


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """How responses are written; the defaults are those of ProtoJSON."""

    proto_names: bool = False
    enums_as_numbers: bool = False
    emit_defaults: bool = False


@dataclass(frozen=True, slots=True)
class Form:
    """How one client wants its response. `options` are protobuf-py's for JSON; `proto` is the binary format instead."""

    options: dict[str, Any]
    proto: bool = False
    fields: Selection = None
    indent: int | None = None


class Writer:
    """Writes the responses of one route."""

    def __init__(self, output: DescMessage, field: DescField | None, registry: Registry, style: JsonStyle) -> None:
        """`field` is the one of `output` that is answered, None for all of it."""
        self._output = output
        self._field = field
        self._inner = _inner(output, field)
        self._proto_names = style.proto_names
        self._options: dict[str, Any] = {
            "registry": registry,
            "use_proto_field_name": style.proto_names,
            "print_enums_as_ints": style.enums_as_numbers,
            "always_emit_implicit": style.emit_defaults,
        }
        self._usual = Form(self._options)

    def form(self, wanted: SystemParameters) -> Form:
        """The form that these parameters ask for. Raises InvalidArgument if the response has no such form."""
        if wanted is NONE_GIVEN:
            return self._usual
        problems = Problems()
        if wanted.alt == PROTO and self._inner is None:
            problems.add(ALT, InvalidValue("can't be proto: this method does not answer a message"))
        fields: Selection = None
        if wanted.fields:
            try:
                fields = self._selection(wanted)
            except InvalidValue as wrong:
                problems.add(FIELDS, wrong)
        problems.check()
        options = self._options
        if wanted.enums_as_numbers is not None:
            options = {**options, "print_enums_as_ints": wanted.enums_as_numbers}
        return Form(options, wanted.alt == PROTO, fields, 2 if wanted.pretty_print else None)

    def write(self, response: Message, form: Form) -> bytes:
        """The body. Raises what protobuf-py does for a message that has no JSON."""
        if form.proto:
            return self._message(response).to_binary()
        text = self._json(response, form)
        if form.fields is None and form.indent is None:
            return text.encode()
        separators = (",", ":") if form.indent is None else None
        trimmed = trim_to(json.loads(text), form.fields)
        return json.dumps(trimmed, indent=form.indent, separators=separators, ensure_ascii=False).encode()

    def _selection(self, wanted: SystemParameters) -> Selection:
        if self._inner is None or wanted.alt == PROTO:
            raise InvalidValue("can only trim a message that is answered as JSON")
        return parse(wanted.fields, self._inner, proto_names=self._proto_names)

    def _message(self, response: Message) -> Message:
        if self._field is None:
            return response
        assert self._inner is not None, "checked when the form was made"
        inner: Message | None = response[self._field]
        return inner if inner is not None else self._inner.type()

    def _json(self, response: Message, form: Form) -> str:
        if self._field is None:
            return to_json(response, **form.options)
        if self._inner is not None and response[self._field] is not None:
            inner: Message = response[self._field]
            return to_json(inner, **form.options)
        # A scalar is written with its default too, but not the defaults inside the messages of a list.
        is_single = not isinstance(self._field.value, DescFieldValueList | DescFieldValueMap)
        options = {**form.options, "always_emit_implicit": True} if is_single else form.options
        whole = json.loads(to_json(response, **options))
        name = self._field.name if self._proto_names else self._field.json_name
        return json.dumps(whole.get(name, _absent(self._field)), separators=(",", ":"), ensure_ascii=False)


def _inner(output: DescMessage, field: DescField | None) -> DescMessage | None:
    """The type of the message that is answered, None if it is no message."""
    if field is None:
        return output
    return field.value.message if isinstance(field.value, DescFieldValueMessage) else None


def _absent(field: DescField) -> Any:
    """The JSON of a field that is not there."""
    match field.value:
        case DescFieldValueList():
            return []
        case DescFieldValueMessage(message=message) if message.type_name in TEXT_MESSAGES:
            return None
        case DescFieldValueMap() | DescFieldValueMessage():
            return {}
    return None
