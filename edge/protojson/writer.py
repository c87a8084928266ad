"""A ProtoJSON writer that also writes values without a ProtoJSON form.

protobuf-py writes JSON fast but rejects a whole message because of one such value. By the time a response is written
the call has been carried out, so an error would mislead the caller; and the details of an error must not hide the error
itself. Therefore this module writes the messages that the library rejects, as google.protobuf.json_format does where it
can, and otherwise in the closest form without loss:

    FieldMask       a path that camelCase can't represent (`a_1`, `fooBar`) keeps its proto spelling
    Timestamp       years before 0000 and after 9999 have a sign and at least six digits (ECMA-262, expanded years)
    Duration        any number of seconds; parts of different signs are added up
    Value           without a kind it is null; NaN and the infinities are strings, as in a double
    Any             of an unknown type, corrupt, or deep inside other Anys: {"@type": …, "@value": its bytes in
                    base64}, as in grpcurl
    closed enums    a number without a name is a number

Messages that no Protobuf library accepts stay errors: strings that are not UTF-8, and absent required fields of proto2.
"""

import json
import math
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog
from protobuf import (
    DescEnum,
    DescExtension,
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescMessage,
    Message,
    Registry,
    ScalarType,
)

from edge.protojson.any_and_struct import ANY, LIST_VALUE, STRUCT, VALUE, uses_value_member
from edge.protojson.fields import values_in_order
from edge.protojson.leaf_readers import NULL_VALUE, WRAPPERS
from edge.protojson.scalars import INT64_TYPES
from edge.protojson.short_floats import ShortFloats, shortest
from edge.protojson.well_known import FIELD_MASK
from mesh.contract.descriptors import element_of

log = structlog.get_logger()

DECODE_ERRORS: Final = (ValueError, EOFError, RecursionError, OverflowError)
"""The exceptions with which protobuf-py rejects bytes that are not a message, and messages that have no JSON."""

ANY_DEPTH_MAX: Final = 50
"""The maximum depth of Anys inside Anys that are unpacked; deeper ones are written as bytes."""

_BILLION: Final = 1_000_000_000
_DAYS_IN_400_YEARS: Final = 146_097
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REVERSIBLE: Final = re.compile(r"(?:[^A-Z_]|_[a-z])*")
_UNDERSCORE: Final = re.compile(r"_([a-z])")


class MessageWriter:
    """The writer of messages whose types are in a registry."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self._floats = ShortFloats(registry)

    def to_json(self, message: Message, **options: Any) -> str:
        """Returns the message as to_json() does, with the fewest digits of its floats."""
        if self._floats.shorten(message):
            return to_json(message, registry=self.registry, **options)
        return _written(message, {"registry": self.registry, **options})


def to_json(message: Message, **options: Any) -> str:
    """Returns the message as JSON. `options` are those of protobuf-py's Message.to_json. Raises ValueError if a
    required field is absent.
    """
    try:
        return message.to_json(**options)
    except (ValueError, OverflowError, RecursionError) as error:
        text = _written(message, options)
        log.warning(
            "a message holds a value that has no ProtoJSON form", message=message.desc().type_name, error=str(error)
        )
        return text


def to_value(message: Message, registry: Registry) -> Any:
    """Returns the JSON value of a message, with the fewest digits of its floats. protobuf-py is faster, but writes all
    digits of them.
    """
    return _Writer(registry=registry).message(message, 0)


def _written(message: Message, options: dict[str, Any]) -> str:
    message.to_binary()  # raises ValueError if a required field is absent
    return json.dumps(_Writer(**options).message(message, 0), separators=(",", ":"), ensure_ascii=False)


class _Writer:
    """A converter of messages to values for json.dumps()."""

    def __init__(
        self,
        *,
        registry: Any,
        use_proto_field_name: bool = False,
        print_enums_as_ints: bool = False,
        always_emit_implicit: bool = False,
    ) -> None:
        self._registry = registry
        self._proto_names = use_proto_field_name
        self._enums_as_numbers = print_enums_as_ints
        self._emit_defaults = always_emit_implicit

    def message(self, message: Any, depth: int) -> Any:
        """Returns the JSON value of a message that is inside `depth` Anys."""
        name = message.desc().type_name
        match name:
            case "google.protobuf.Timestamp":
                return format_timestamp(message.seconds, message.nanos)
            case "google.protobuf.Duration":
                return format_duration(message.seconds, message.nanos)
            case _ if name == FIELD_MASK:
                return ",".join(map(_camel_case, message.paths))
            case _ if name == ANY:
                return self._any(message, depth)
            case _ if name == STRUCT:
                return {key: self.message(value, depth) for key, value in message.fields.items()}
            case _ if name == LIST_VALUE:
                return [self.message(value, depth) for value in message.values]
            case _ if name == VALUE:
                return self._value(message, depth)
            case _ if name in WRAPPERS:
                return self._field(message.desc().fields[0], message.value, depth)
        return dict(self._members(message, depth))

    def _members(self, message: Any, depth: int) -> Iterator[tuple[str, Any]]:
        for field in message.desc().fields:
            if field in message or (self._emit_defaults and field.presence.name == "IMPLICIT"):
                name = field.name if self._proto_names else field.json_name
                yield name, self._field(field, message[field], depth)
        for extension in self._registry.extensions_for(message.desc()):
            if extension.type in message:
                yield f"[{extension.type_name}]", self._field(extension, message[extension.type], depth)

    def _field(self, field: DescField | DescExtension, value: Any, depth: int) -> Any:
        match field.value:
            case DescFieldValueList(element=element):
                return [self._element(element, item, depth) for item in value]
            case DescFieldValueMap(value=element):
                return {
                    key if isinstance(key, str) else json.dumps(key): self._element(element, item, depth)
                    for key, item in value.items()
                }
        return self._element(element_of(field), value, depth)

    def _element(self, element: DescMessage | DescEnum | ScalarType, value: Any, depth: int) -> Any:
        match element:
            case DescMessage():
                return self.message(value, depth)
            case DescEnum():
                return self._enum(element, int(value))
        if element in INT64_TYPES:
            return str(value)
        if element is ScalarType.FLOAT:
            return finite_or_text(shortest(value))
        return b64encode(value).decode() if isinstance(value, bytes | bytearray) else finite_or_text(value)

    def _enum(self, enum: DescEnum, number: int) -> Any:
        if enum.type_name == NULL_VALUE:
            return None
        if self._enums_as_numbers:
            return number
        names = (value.json_name or value.name for value in values_in_order(enum) if value.number == number)
        return next(names, number)

    def _value(self, value: Any, depth: int) -> Any:
        kind = value.kind
        if kind is None or kind.field == "null_value":
            return None
        return self.message(kind.value, depth) if isinstance(kind.value, Message) else finite_or_text(kind.value)

    def _any(self, packed: Any, depth: int) -> Any:
        if not packed.type_url and not packed.value:
            return {}
        desc = self._registry.message(packed.type_url.rpartition("/")[2])
        if desc is not None and depth < ANY_DEPTH_MAX:
            try:
                inner = self.message(desc.type.from_binary(packed.value), depth + 1)
            except DECODE_ERRORS:
                pass  # a corrupt message is written as bytes
            else:
                return {"@type": packed.type_url, **({"value": inner} if uses_value_member(desc) else inner)}
        return {"@type": packed.type_url, "@value": b64encode(packed.value).decode()}


def format_timestamp(seconds: int, nanos: int) -> str:
    """Formats a time of any year as in RFC 3339."""
    seconds, nanos = seconds + nanos // _BILLION, nanos % _BILLION
    days, second = divmod(seconds, 86_400)
    cycles, day = divmod(days, _DAYS_IN_400_YEARS)
    moment = _EPOCH + timedelta(days=day, seconds=second)
    year = moment.year + 400 * cycles
    shown = f"{year:04}" if 0 <= year <= 9999 else f"{year:+07}"
    return f"{shown}{moment:-%m-%dT%H:%M:%S}{_fraction(nanos)}Z"


def format_duration(seconds: int, nanos: int) -> str:
    """Formats a duration of any length in seconds."""
    total = seconds * _BILLION + nanos
    whole, rest = divmod(abs(total), _BILLION)
    return f"{'-' if total < 0 else ''}{whole}{_fraction(rest)}s"


def _fraction(nanos: int) -> str:
    """Returns the fraction with three, six or nine digits, or nothing if it is zero."""
    digits = f"{nanos:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}" if digits else ""


def _camel_case(path: str) -> str:
    """Returns a mask path in lowerCamelCase as json_format writes it, or unchanged if that could not be read back."""
    if not _REVERSIBLE.fullmatch(path):
        return path
    return _UNDERSCORE.sub(lambda found: found[1].upper(), path)


def finite_or_text(value: Any) -> Any:
    """Returns a value as JSON has it, which has texts for numbers that are not finite."""
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
