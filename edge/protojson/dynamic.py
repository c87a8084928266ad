"""The well-known types that hold any JSON: Struct, ListValue, Value, and Any, which names the type of its fields."""

import contextlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from protobuf import DescFieldValueList, DescFieldValueMap, DescFieldValueMessage, DescMessage, Oneof

from edge.protojson.leaves import WRAPPERS, Leaf, json_leaf
from edge.protojson.parser import Malformed, parse
from edge.protojson.problems import MISSING, ROOT, InvalidValue, MapKey, Place, Problems, kind, shorten
from edge.protojson.scalars import read_double, read_string
from edge.protojson.serialised import to_bytes
from edge.protojson.well_known import FIELD_MASK
from mesh.errors import InvalidArgument

if TYPE_CHECKING:
    from edge.protojson.readers import Reader, Readers

ANY: Final = "google.protobuf.Any"
EMPTY: Final = "google.protobuf.Empty"
LIST_VALUE: Final = "google.protobuf.ListValue"
STRUCT: Final = "google.protobuf.Struct"
VALUE: Final = "google.protobuf.Value"

# Types whose JSON is no object of their fields stand in the member "value" of an Any (any.proto).
_IN_VALUE: Final = WRAPPERS | {
    *(ANY, LIST_VALUE, STRUCT, VALUE),
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    FIELD_MASK,
}


def reader(desc: DescMessage, readers: "Readers") -> "Reader | None":
    """The reader of such a type; None for any other."""
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


def text_leaf(desc: DescMessage, readers: "Readers") -> Leaf | None:
    """Reads a text as one of these types: it is their JSON. What is no JSON is a string where any JSON may stand. None
    for any other type.
    """
    if desc.type_name not in (ANY, LIST_VALUE, STRUCT, VALUE):
        return None

    def read(text: str) -> Any:
        try:
            document = parse(text.encode())
        except Malformed:
            if desc.type_name != VALUE:
                raise InvalidValue("must be JSON") from None
            document = text
        problems, value = Problems(), MISSING
        with contextlib.suppress(InvalidArgument):  # of too many violations, the first of which follows
            value = readers.message(desc).read(document, ROOT, problems)
        if problems.violations:
            first = problems.violations[0]
            raise InvalidValue(f"is wrong: {first.field} {first.description}", first.reason)
        return value

    return read


def is_in_value(desc: DescMessage) -> bool:
    """Whether an Any of this type holds the JSON of its message in the member "value"."""
    return desc.type_name in _IN_VALUE


def _field_type(desc: DescMessage, name: str) -> DescMessage:
    """The message type of a field of struct.proto."""
    value = next(field.value for field in desc.fields if field.name == name)
    match value:
        case DescFieldValueMap(value=DescMessage() as found) | DescFieldValueList(element=DescMessage() as found):
            return found
        case DescFieldValueMessage(message=found):
            return found
    raise AssertionError(f"{desc.type_name}.{name} holds messages")


class _StructReader:
    def __init__(self, desc: DescMessage, readers: "Readers") -> None:
        self._type = desc.type
        self._value = _field_type(desc, "fields")
        self._readers = readers

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        if not problems.may_enter(value, dict, place, self._readers.depth_max, MapKey):
            return MISSING
        values = self._readers.message(self._value)
        fields = {}
        for key, item in value.items():
            at = (place, MapKey(key), place[2] + 1)
            try:
                read_string(key)
            except InvalidValue as wrong:
                problems.add_at(at, wrong)
            if (read := values.read(item, at, problems)) is not MISSING:
                fields[key] = read
        return self._type(fields=fields)


class _ListValueReader:
    def __init__(self, desc: DescMessage, readers: "Readers") -> None:
        self._type = desc.type
        self._value = _field_type(desc, "values")
        self._readers = readers

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        if not problems.may_enter(value, list, place, self._readers.depth_max):
            return MISSING
        depth, values = place[2] + 1, self._readers.message(self._value)
        read = [values.read(item, (place, index, depth), problems) for index, item in enumerate(value)]
        return self._type(values=[item for item in read if item is not MISSING])


class _ValueReader:
    def __init__(self, desc: DescMessage, readers: "Readers") -> None:
        self._type = desc.type
        self._struct = _field_type(desc, "struct_value")
        self._list = _field_type(desc, "list_value")
        self._readers = readers

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        try:
            kind_set = self._kind(value, place, problems)
        except InvalidValue as wrong:
            problems.add_at(place, wrong)
            return MISSING
        return MISSING if kind_set.value is MISSING else self._type(kind=kind_set)

    def _kind(self, value: Any, place: Place, problems: Problems) -> Oneof[str, Any]:
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
                return Oneof("list_value", self._readers.message(self._list).read(value, place, problems))
            case _:
                return Oneof("struct_value", self._readers.message(self._struct).read(value, place, problems))


class _AnyReader:
    def __init__(self, desc: DescMessage, readers: "Readers") -> None:
        self._type = desc.type
        self._readers = readers

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        if not problems.may_enter(value, dict, place, self._readers.depth_max):
            return MISSING
        if not value:
            return self._type()
        depth = place[2] + 1
        try:
            desc = self._packed_type(value.get("@type"))
        except InvalidValue as wrong:
            problems.add_at((place, "@type", depth), wrong)
            return MISSING
        rest = {key: item for key, item in value.items() if key != "@type"}
        if desc.type_name == EMPTY and rest.get("value") == {}:
            # Go's implementation writes the value of an Empty, the others leave it out.
            del rest["value"]
        if is_in_value(desc):
            packed = self._read_value(desc, rest, place, problems)
        else:
            # The fields of the packed message stand in this object, not in one inside it.
            packed = self._readers.message(desc).read(rest, (place[0], place[1], depth), problems)
        packed_bytes = MISSING if packed is MISSING else to_bytes(packed, place, problems)
        return MISSING if packed_bytes is MISSING else self._type(type_url=value["@type"], value=packed_bytes)

    def _packed_type(self, url: object) -> DescMessage:
        if type(url) is not str:
            raise InvalidValue(f"must be a string that names the type of this value, not {kind(url)}")
        desc = self._readers.registry.message(url.rpartition("/")[2])
        if desc is None:
            raise InvalidValue(f'names no type that is known here: "{shorten(url)}"', "TYPE_UNKNOWN")
        return desc

    def _read_value(self, desc: DescMessage, rest: dict[str, Any], place: Place, problems: Problems) -> Any:
        depth = place[2] + 1
        for key in rest.keys() - {"value"}:
            problems.add_at((place, key, depth), InvalidValue("is not a field here", "FIELD_UNKNOWN"))
        if "value" not in rest:
            problems.add_at((place, "value", depth), InvalidValue("is missing"))
            return MISSING
        leaf = json_leaf(desc)
        if leaf is None:
            return self._readers.message(desc).read(rest["value"], (place, "value", depth), problems)
        try:
            return leaf(rest["value"])
        except InvalidValue as wrong:
            problems.add_at((place, "value", depth), wrong)
            return MISSING
