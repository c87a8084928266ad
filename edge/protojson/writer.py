"""Messages as ProtoJSON, those too that hold values for which it has no form.

protobuf-py writes JSON fast and refuses a message as a whole for one such value. A response is a fact: the call was
carried out, and who asked must not be told that it failed. So what the library refuses is written here: as
google.protobuf.json_format writes it where that has a form, and otherwise in the nearest one that loses nothing.

    FieldMask       a path that camelCase would lose (`a_1`, `fooBar`) stands as the contract spells it
    Timestamp       years before 0000 and after 9999 with a sign and six digits or more (ECMA-262, expanded years)
    Duration        any number of seconds; parts of different signs are added up
    Value           no kind set is null; NaN and the infinities are strings, as in a double
    Any             of a type that is not known, damaged, or deep in other Anys: {"@type": …, "@value": its bytes in
                    base64}, as grpcurl does
    closed enums    a number without a name is a number

What is no message for any library of Protobuf stays an error: strings that are not UTF-8, and proto2's required fields
that are absent.
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
    DescFieldValueEnum,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescFieldValueScalar,
    DescMessage,
    Message,
    ScalarType,
)

from edge.protojson.dynamic import ANY, LIST_VALUE, STRUCT, VALUE, is_in_value
from edge.protojson.fields import values_of
from edge.protojson.leaves import NULL_VALUE, WRAPPERS
from edge.protojson.scalars import LONG
from edge.protojson.well_known import FIELD_MASK

log = structlog.get_logger()

ANY_DEPTH_MAX: Final = 50
"""How many Anys may be unpacked inside each other; one that is deeper is written by its bytes."""

_BILLION: Final = 1_000_000_000
_DAYS_IN_400_YEARS: Final = 146_097
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REVERSIBLE: Final = re.compile(r"(?:[^A-Z_]|_[a-z])*")
_UNDERSCORE: Final = re.compile(r"_([a-z])")


def to_json(message: Message, **options: Any) -> str:
    """Returns the message as JSON. `options` are those of protobuf-py's Message.to_json. Raises ValueError if a
    required field is absent.
    """
    try:
        return message.to_json(**options)
    except (ValueError, OverflowError, RecursionError) as error:
        message.to_binary()  # fails without its required fields
        log.warning("no ProtoJSON for a value", message=message.desc().type_name, error=str(error))
        value = _Writer(**options).message(message, 0)
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class _Writer:
    """Makes the values that json.dumps() writes."""

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
        """The JSON value of a message that is inside of `depth` Anys."""
        name = message.desc().type_name
        match name:
            case "google.protobuf.Timestamp":
                return timestamp(message.seconds, message.nanos)
            case "google.protobuf.Duration":
                return duration(message.seconds, message.nanos)
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
                return self._single(message.desc().fields[0], message.value, depth)
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
        return self._single(field, value, depth)

    def _single(self, field: DescField | DescExtension, value: Any, depth: int) -> Any:
        match field.value:
            case (
                DescFieldValueScalar(scalar=element)
                | DescFieldValueEnum(enum=element)
                | DescFieldValueMessage(message=element)
            ):
                return self._element(element, value, depth)
        raise AssertionError(f"{field} holds one value")

    def _element(self, element: DescMessage | DescEnum | ScalarType, value: Any, depth: int) -> Any:
        match element:
            case DescMessage():
                return self.message(value, depth)
            case DescEnum():
                return self._enum(element, int(value))
        if element in LONG:
            return str(value)
        return b64encode(value).decode() if isinstance(value, bytes | bytearray) else _finite(value)

    def _enum(self, enum: DescEnum, number: int) -> Any:
        if enum.type_name == NULL_VALUE:
            return None
        if self._enums_as_numbers:
            return number
        names = (value.json_name or value.name for value in values_of(enum) if value.number == number)
        return next(names, number)

    def _value(self, value: Any, depth: int) -> Any:
        kind = value.kind
        if kind is None or kind.field == "null_value":
            return None
        return self.message(kind.value, depth) if isinstance(kind.value, Message) else _finite(kind.value)

    def _any(self, packed: Any, depth: int) -> Any:
        if not packed.type_url and not packed.value:
            return {}
        desc = self._registry.message(packed.type_url.rpartition("/")[2])
        if desc is not None and depth < ANY_DEPTH_MAX:
            try:
                inner = self.message(desc.type.from_binary(packed.value), depth + 1)
            except (ValueError, EOFError, OverflowError, RecursionError):
                pass  # what is damaged is shown as it came
            else:
                return {"@type": packed.type_url, **({"value": inner} if is_in_value(desc) else inner)}
        return {"@type": packed.type_url, "@value": b64encode(packed.value).decode()}


def timestamp(seconds: int, nanos: int) -> str:
    """Returns a time of any year in the form of RFC 3339."""
    seconds, nanos = seconds + nanos // _BILLION, nanos % _BILLION
    days, second = divmod(seconds, 86_400)
    cycles, day = divmod(days, _DAYS_IN_400_YEARS)
    moment = _EPOCH + timedelta(days=day, seconds=second)
    year = moment.year + 400 * cycles
    shown = f"{year:04}" if 0 <= year <= 9999 else f"{year:+07}"
    return f"{shown}{moment:-%m-%dT%H:%M:%S}{_fraction(nanos)}Z"


def duration(seconds: int, nanos: int) -> str:
    """Returns a number of seconds, however many."""
    total = seconds * _BILLION + nanos
    whole, rest = divmod(abs(total), _BILLION)
    return f"{'-' if total < 0 else ''}{whole}{_fraction(rest)}s"


def _fraction(nanos: int) -> str:
    """Nothing, or three, six or nine digits after the point."""
    digits = f"{nanos:09}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}" if digits else ""


def _camel_case(path: str) -> str:
    """The path as json_format writes it; one that can't be read back stays as it is."""
    if not _REVERSIBLE.fullmatch(path):
        return path
    return _UNDERSCORE.sub(lambda found: found[1].upper(), path)


def _finite(value: Any) -> Any:
    if not isinstance(value, float) or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
