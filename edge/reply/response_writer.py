"""The bodies of responses as clients ask for them: ProtoJSON, with selected fields or indented, or binary."""

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
)

from edge.bind.system_parameters import ALT, FIELDS, NO_SYSTEM_PARAMETERS, PROTO, SystemParameters
from edge.protojson.any_and_struct import LIST_VALUE, VALUE
from edge.protojson.field_selection import Selection, parse
from edge.protojson.field_selection import trim as trim_to
from edge.protojson.leaf_readers import TEXT_MESSAGES
from edge.protojson.violations import InvalidValue, Violations
from edge.protojson.writer import MessageWriter


@dataclass(frozen=True, slots=True)
class JsonStyle:
    """The style of JSON in responses. The defaults are those of ProtoJSON."""

    proto_names: bool = False
    enums_as_numbers: bool = False
    emit_defaults: bool = False


@dataclass(frozen=True, slots=True)
class ResponseOptions:
    """The format that one client wants its response in. `json_options` are those of MessageWriter.to_json(); `proto`
    selects the binary format instead.
    """

    json_options: dict[str, Any]
    proto: bool = False
    fields: Selection = None
    indent: int | None = None


class ResponseWriter:
    """The writer of one route's responses."""

    def __init__(self, output: DescMessage, field: DescField | None, messages: MessageWriter, style: JsonStyle) -> None:
        """`field` is the field of `output` that is the response, None if all of `output` is."""
        self._output = output
        self._field = field
        self._inner = _inner(output, field)
        self._messages = messages
        self._proto_names = style.proto_names
        self._options: dict[str, Any] = {
            "use_proto_field_name": style.proto_names,
            "print_enums_as_ints": style.enums_as_numbers,
            "always_emit_implicit": style.emit_defaults,
        }
        self._defaults = ResponseOptions(self._options)

    def options(self, wanted: SystemParameters) -> ResponseOptions:
        """Returns the format that the parameters ask for. Raises InvalidArgument if the response does not have it."""
        if wanted is NO_SYSTEM_PARAMETERS:
            return self._defaults
        violations = Violations()
        if wanted.alt == PROTO and self._inner is None:
            violations.add(ALT, InvalidValue("can't be proto: this method does not return a message"))
        fields: Selection = None
        if wanted.fields:
            try:
                fields = self._selection(wanted)
            except InvalidValue as wrong:
                violations.add(FIELDS, wrong)
        violations.raise_if_any()
        json_options = self._options
        if wanted.enums_as_numbers is not None:
            json_options = {**json_options, "print_enums_as_ints": wanted.enums_as_numbers}
        return ResponseOptions(json_options, wanted.alt == PROTO, fields, 2 if wanted.pretty_print else None)

    def write(self, response: Message, options: ResponseOptions) -> bytes:
        """Returns the body. Raises the errors of protobuf-py if a message has no JSON."""
        if options.proto:
            return self._message(response).to_binary()
        text = self._json(response, options)
        if options.fields is None and options.indent is None:
            return text.encode()
        separators = (",", ":") if options.indent is None else None
        trimmed = trim_to(json.loads(text), options.fields)
        return json.dumps(trimmed, indent=options.indent, separators=separators, ensure_ascii=False).encode()

    def _selection(self, wanted: SystemParameters) -> Selection:
        if self._inner is None or wanted.alt == PROTO:
            raise InvalidValue("can only select fields of a message in JSON")
        return parse(wanted.fields, self._inner, proto_names=self._proto_names)

    def _message(self, response: Message) -> Message:
        if self._field is None:
            return response
        assert self._inner is not None, "options() has checked it"
        inner: Message | None = response[self._field]
        return inner if inner is not None else self._inner.type()

    def _json(self, response: Message, options: ResponseOptions) -> str:
        if self._field is None:
            return self._messages.to_json(response, **options.json_options)
        if self._inner is not None and response[self._field] is not None:
            inner: Message = response[self._field]
            return self._messages.to_json(inner, **options.json_options)
        # A single value is written even if it is its default; fields of the messages in a list are not.
        is_single = not isinstance(self._field.value, DescFieldValueList | DescFieldValueMap)
        json_options = options.json_options
        if is_single:
            json_options = {**json_options, "always_emit_implicit": True}
        whole = json.loads(self._messages.to_json(response, **json_options))
        name = self._field.name if self._proto_names else self._field.json_name
        return json.dumps(whole.get(name, _absent(self._field)), separators=(",", ":"), ensure_ascii=False)


def _inner(output: DescMessage, field: DescField | None) -> DescMessage | None:
    """Returns the type of the response, None if it is not a single message."""
    if field is None:
        return output
    return field.value.message if isinstance(field.value, DescFieldValueMessage) else None


def _absent(field: DescField) -> Any:
    """Returns the JSON of an absent field."""
    match field.value:
        case DescFieldValueList():
            return []
        case DescFieldValueMessage(message=message) if message.type_name == LIST_VALUE:
            return []
        case DescFieldValueMessage(message=message) if message.type_name in TEXT_MESSAGES or message.type_name == VALUE:
            return None
        case DescFieldValueMap() | DescFieldValueMessage():
            return {}
    return None
