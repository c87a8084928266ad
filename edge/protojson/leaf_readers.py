"""Readers of leaf values: scalars, enums, and the well-known types whose JSON is a string, a number or a boolean.

A leaf reader converts one value, either a Python value of parsed JSON or the text of a path or query. It raises
InvalidValue if the field can't take the value.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from protobuf import DescEnum, DescFieldValueScalar, DescMessage, Message, ScalarType

from edge.protojson import well_known
from edge.protojson.fields import values_in_order
from edge.protojson.scalars import FROM_JSON, FROM_TEXT
from edge.protojson.violations import InvalidValue, UnknownName, json_type_name, shorten

LeafReader = Callable[[Any], Any]

NAMES_SHOWN_MAX: Final = 10

NULL_VALUE: Final = "google.protobuf.NullValue"


def json_leaf(element: DescMessage | DescEnum | ScalarType) -> LeafReader | None:
    """Returns the reader of JSON values of a type, or None for messages that are objects or arrays in JSON."""
    if isinstance(element, DescEnum):
        return _null_value if element.type_name == NULL_VALUE else _enum(element)
    if isinstance(element, DescMessage):
        make = _OF_JSON.get(element.type_name)
        return make(element) if make is not None else None
    return FROM_JSON[element]


def text_leaf(element: DescMessage | DescEnum | ScalarType) -> LeafReader | None:
    """Returns the reader of text from a path or query as a type, or None for messages without a text form."""
    if isinstance(element, DescEnum):
        return _null_value_of_text if element.type_name == NULL_VALUE else _enum_of_text(element)
    if isinstance(element, DescMessage):
        make = _OF_TEXT.get(element.type_name)
        return make(element) if make is not None else None
    return FROM_TEXT[element]


def _enum(enum: DescEnum) -> LeafReader:
    """Returns a reader of enum names and numbers; only open enums accept numbers that they don't declare."""
    make, is_open = enum.type, enum.open
    by_name = {value.name: make(value.number) for value in values_in_order(enum)}
    by_name |= {value.json_name: make(value.number) for value in enum.values if value.json_name is not None}
    by_number = {value.number: make(value.number) for value in enum.values}

    def read(value: object) -> Any:
        if type(value) is str:
            found = by_name.get(value)
        elif type(value) is int or (type(value) is Decimal and value.adjusted() < 10 and value == int(value)):
            found = by_number.get(int(value))
            if found is None and is_open and -(2**31) <= value < 2**31:
                found = make(int(value))
        else:
            raise InvalidValue(f"must be the name or the number of a value, not {json_type_name(value)}")
        if found is None:
            unknown = UnknownName if type(value) is str else InvalidValue
            raise unknown(f'has no value "{shorten(str(value))}"; its values are {_first_names(list(by_name))}')
        return found

    return read


def _enum_of_text(enum: DescEnum) -> LeafReader:
    of_json = _enum(enum)
    integer = FROM_TEXT[ScalarType.INT32]

    def read(text: str) -> Any:
        return of_json(integer(text) if text.lstrip("-").isdecimal() else text)

    return read


def _first_names(names: list[str]) -> str:
    return ", ".join(names[:NAMES_SHOWN_MAX]) + (", …" if len(names) > NAMES_SHOWN_MAX else "")


def _null_value(value: object) -> int:
    if value is None or value == "NULL_VALUE" or (type(value) is int and value == 0):
        return 0
    raise InvalidValue(f"must be null, not {json_type_name(value)}")


def _null_value_of_text(text: str) -> int:
    if text in ("null", "NULL_VALUE", "0"):
        return 0
    raise InvalidValue("must be null")


def _seconds_and_nanos(parse: Callable[[object], tuple[int, int]]) -> Callable[[DescMessage], LeafReader]:
    def make(desc: DescMessage) -> LeafReader:
        message = desc.type

        def read(value: object) -> Message:
            seconds, nanos = parse(value)
            return message(seconds=seconds, nanos=nanos)

        return read

    return make


def _field_mask(parse: Callable[[Any], list[str]]) -> Callable[[DescMessage], LeafReader]:
    def make(desc: DescMessage) -> LeafReader:
        message = desc.type
        return lambda value: message(paths=parse(value))

    return make


def _wrapper(leaves: dict[ScalarType, LeafReader]) -> Callable[[DescMessage], LeafReader]:
    def make(desc: DescMessage) -> LeafReader:
        message, wrapped = desc.type, desc.fields[0].value
        assert isinstance(wrapped, DescFieldValueScalar), "google/protobuf/wrappers.proto wraps scalars"
        leaf = leaves[wrapped.scalar]
        return lambda value: message(value=leaf(value))

    return make


WRAPPERS: Final = frozenset(
    f"google.protobuf.{name}Value"
    for name in ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
)
_TIMES: Final = {
    "google.protobuf.Timestamp": _seconds_and_nanos(well_known.parse_timestamp),
    "google.protobuf.Duration": _seconds_and_nanos(well_known.parse_duration),
}
_OF_JSON: Final = {
    **_TIMES,
    "google.protobuf.FieldMask": _field_mask(well_known.parse_field_mask),
    **dict.fromkeys(WRAPPERS, _wrapper(FROM_JSON)),
}
_OF_TEXT: Final = {
    **_TIMES,
    "google.protobuf.FieldMask": _field_mask(well_known.parse_field_mask_text),
    **dict.fromkeys(WRAPPERS, _wrapper(FROM_TEXT)),
}
resource_mask: Final = _field_mask(well_known.parse_resource_mask)
"""Makes the reader of the masks of updates and reads in JSON."""

TEXT_MESSAGES: Final = frozenset(_OF_TEXT)
"""The message types that have a text form in a path or query."""
