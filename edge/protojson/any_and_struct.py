"""Readers of the well-known types whose content the contract does not fix: Struct, ListValue, Value and Any."""

import contextlib
from decimal import Decimal
from typing import Any, Final

from protobuf import DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage, Oneof

from edge.protojson.leaf_readers import WRAPPERS, LeafReader, json_leaf
from edge.protojson.parser import MalformedJson, parse
from edge.protojson.reader import MessageReaders, Reader
from edge.protojson.scalars import read_double, read_string
from edge.protojson.serialization import to_bytes
from edge.protojson.violations import INVALID, ROOT, InvalidValue, Location, MapKey, Violations, json_type_name, shorten
from edge.protojson.well_known import FIELD_MASK
from mesh.errors import InvalidArgument

ANY: Final = "google.protobuf.Any"
EMPTY: Final = "google.protobuf.Empty"
LIST_VALUE: Final = "google.protobuf.ListValue"
STRUCT: Final = "google.protobuf.Struct"
VALUE: Final = "google.protobuf.Value"

# An Any holds types with a special JSON form in its member "value" (any.proto).
_IN_VALUE: Final = WRAPPERS | {
    *(ANY, LIST_VALUE, STRUCT, VALUE),
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    FIELD_MASK,
}


def reader_for(desc: DescMessage, readers: MessageReaders) -> Reader | None:
    """Returns the reader of one of these types, or None for any other type."""
    match desc.type_name:
        case "google.protobuf.Struct":
            return _StructReader(desc, readers)
        case "google.protobuf.ListValue":
            return _ListValueReader(desc, readers)
        case "google.protobuf.Value":
            return _ValueReader(desc, readers)
        case "google.protobuf.Any":
            return _AnyReader(desc, readers)
    return None


def text_leaf(desc: DescMessage, readers: MessageReaders) -> LeafReader | None:
    """Returns a function that parses JSON text as one of these types, or None for any other type. Text that is not
    JSON becomes a string value if the type is Value.
    """
    if desc.type_name not in (ANY, LIST_VALUE, STRUCT, VALUE):
        return None

    def read(text: str) -> Any:
        try:
            document = parse(text.encode())
        except MalformedJson:
            if desc.type_name != VALUE:
                raise InvalidValue("must be JSON") from None
            document = text
        violations, value = Violations(), INVALID
        with contextlib.suppress(InvalidArgument):  # raised at the limit of violations; only the first one is reported
            value = readers.message(desc).read(document, ROOT, violations)
        if violations.found:
            first = violations.found[0]
            raise InvalidValue(f"is wrong: {first.field} {first.description}", first.reason)
        return value

    return read


def uses_value_member(desc: DescMessage) -> bool:
    """Returns whether an Any holds the JSON of this type in its member "value" rather than as members of its own."""
    return desc.type_name in _IN_VALUE


def _field_type(desc: DescMessage, name: str) -> DescMessage:
    """Returns the message type that a field of struct.proto holds."""
    value = next(field.value for field in desc.fields if field.name == name)
    match value:
        case DescFieldValueMap(value=DescMessage() as found) | DescFieldValueList(element=DescMessage() as found):
            return found
        case DescFieldValueMessage(message=found):
            return found
    raise AssertionError(f"{desc.type_name}.{name} holds messages")


class _StructReader:
    def __init__(self, desc: DescMessage, readers: MessageReaders) -> None:
        self._type = desc.type
        self._value = _field_type(desc, "fields")
        self._readers = readers

    def read(self, value: Any, location: Location, violations: Violations) -> Any:
        if not violations.check_container(value, dict, location, self._readers.depth_max, MapKey):
            return INVALID
        values = self._readers.message(self._value)
        fields = {}
        for key, item in value.items():
            at = (location, MapKey(key), location[2] + 1)
            try:
                read_string(key)
            except InvalidValue as wrong:
                violations.add_at(at, wrong)
            if (read := values.read(item, at, violations)) is not INVALID:
                fields[key] = read
        return self._type(fields=fields)


class _ListValueReader:
    def __init__(self, desc: DescMessage, readers: MessageReaders) -> None:
        self._type = desc.type
        self._value = _field_type(desc, "values")
        self._readers = readers

    def read(self, value: Any, location: Location, violations: Violations) -> Any:
        if not violations.check_container(value, list, location, self._readers.depth_max):
            return INVALID
        depth, values = location[2] + 1, self._readers.message(self._value)
        read = [values.read(item, (location, index, depth), violations) for index, item in enumerate(value)]
        return self._type(values=[item for item in read if item is not INVALID])


class _ValueReader:
    def __init__(self, desc: DescMessage, readers: MessageReaders) -> None:
        self._type = desc.type
        self._struct = _field_type(desc, "struct_value")
        self._list = _field_type(desc, "list_value")
        self._readers = readers

    def read(self, value: Any, location: Location, violations: Violations) -> Any:
        try:
            kind_set = self._kind(value, location, violations)
        except InvalidValue as wrong:
            violations.add_at(location, wrong)
            return INVALID
        return INVALID if kind_set.value is INVALID else self._type(kind=kind_set)

    def _kind(self, value: Any, location: Location, violations: Violations) -> Oneof[str, Any]:
        match value:
            case None:
                return Oneof("null_value", 0)
            case bool():
                return Oneof("bool_value", value)
            case int() | Decimal():
                return Oneof("number_value", read_double(value))
            case str():
                return Oneof("string_value", read_string(value))
            case list():
                return Oneof("list_value", self._readers.message(self._list).read(value, location, violations))
            case _:
                return Oneof("struct_value", self._readers.message(self._struct).read(value, location, violations))


class _AnyReader:
    def __init__(self, desc: DescMessage, readers: MessageReaders) -> None:
        self._type = desc.type
        self._readers = readers

    def read(self, value: Any, location: Location, violations: Violations) -> Any:
        if not violations.check_container(value, dict, location, self._readers.depth_max):
            return INVALID
        if not value:
            return self._type()
        depth = location[2] + 1
        try:
            desc = self._packed_type(value.get("@type"))
        except InvalidValue as wrong:
            violations.add_at((location, "@type", depth), wrong)
            return INVALID
        rest = {key: item for key, item in value.items() if key != "@type"}
        if desc.type_name == EMPTY and rest.get("value") == {}:
            # Go writes an empty object as the value of an Empty; the other implementations omit it.
            del rest["value"]
        if uses_value_member(desc):
            packed = self._read_value(desc, rest, location, violations)
        else:
            # The packed message's fields are members of this object, so the depth stays the same.
            packed = self._readers.message(desc).read(rest, (location[0], location[1], depth), violations)
        packed_bytes = INVALID if packed is INVALID else to_bytes(packed, location, violations)
        return INVALID if packed_bytes is INVALID else self._type(type_url=value["@type"], value=packed_bytes)

    def _packed_type(self, url: object) -> DescMessage:
        if type(url) is not str:
            raise InvalidValue(f"must be a string that names the type of this value, not {json_type_name(url)}")
        _, slash, name = url.rpartition("/")
        if not slash:  # any.proto demands one, and the libraries of C++ and Java can't read an Any without it
            text = f'must be a URL that ends with "/" and the name of a type, such as "type.googleapis.com/{EMPTY}"'
            raise InvalidValue(text, "TYPE_UNKNOWN")
        desc = self._readers.registry.message(name)
        if desc is None:
            raise InvalidValue(f'is not the name of a known type: "{shorten(url)}"', "TYPE_UNKNOWN")
        return desc

    def _read_value(self, desc: DescMessage, rest: dict[str, Any], location: Location, violations: Violations) -> Any:
        depth = location[2] + 1
        for key in rest.keys() - {"value"}:
            violations.add_at((location, key, depth), InvalidValue("is not a known field", "FIELD_UNKNOWN"))
        if "value" not in rest:
            violations.add_at((location, "value", depth), InvalidValue("is missing"))
            return INVALID
        leaf = json_leaf(desc)
        if leaf is None:
            return self._readers.message(desc).read(rest["value"], (location, "value", depth), violations)
        try:
            return leaf(rest["value"])
        except InvalidValue as wrong:
            violations.add_at((location, "value", depth), wrong)
            return INVALID
