"""Readers that convert JSON values to messages of any descriptor and record every violation with its location.

A message type's reader is built on first use and caches what it needs of the descriptor; reading a value does no
descriptor look-ups.
"""

from dataclasses import dataclass
from typing import Any, Final

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
    Registry,
    ScalarType,
)

from edge.protojson import any_and_struct
from edge.protojson.fields import assign, fields_by_name, is_resource_mask
from edge.protojson.leaf_readers import NULL_VALUE, LeafReader, json_leaf, resource_mask, text_leaf
from edge.protojson.reader import Reader
from edge.protojson.scalars import FROM_TEXT
from edge.protojson.violations import (
    INVALID,
    InvalidValue,
    Location,
    MapKey,
    UnknownName,
    Violations,
    too_many_entries,
    too_many_items,
)
from mesh.contract.rules import field_rules, items_max

DEPTH_MAX: Final = 64


class ElementReader:
    """The reader of single values of one type: a leaf reader, or a message reader.

    The message reader is looked up when it is needed, because message types may be recursive.
    """

    __slots__ = ("_readers", "_type", "leaf")

    def __init__(self, readers: "Readers", element: DescMessage | DescEnum | ScalarType) -> None:
        self.leaf: LeafReader | None = json_leaf(element)
        self._readers = readers
        self._type = element

    def read(self, value: Any, location: Location, violations: Violations) -> Any:
        """Returns the value, or INVALID after recording a violation."""
        if self.leaf is None:
            assert isinstance(self._type, DescMessage), "all other types have leaves"
            return self._readers.message(self._type).read(value, location, violations)
        try:
            return self.leaf(value)
        except InvalidValue as wrong:
            self._readers.record(wrong, location, violations)
            return INVALID


@dataclass(frozen=True, slots=True)
class FieldReader:
    """The reader of one field. `attribute` is the message's attribute for it, or empty if plain assignment is not
    enough.
    """

    desc: DescField | DescExtension
    json_name: str
    attribute: str
    nullable: bool
    leaf: LeafReader | None
    reader: Reader

    def assign(self, message: Message, value: Any) -> None:
        """Sets the field. Raises InvalidValue if another member of its oneof is set."""
        if isinstance(self.desc, DescExtension):
            message[self.desc.type] = value
        else:
            assign(message, self.desc, value)


class Readers:
    """The readers of all message types of a registry."""

    def __init__(self, registry: Registry, *, ignore_unknown: bool = False, depth_max: int = DEPTH_MAX) -> None:
        self.registry = registry
        self.ignore_unknown = ignore_unknown
        self.depth_max = depth_max
        self._by_type: dict[str, Reader] = {}

    def record(self, wrong: InvalidValue, location: Location, violations: Violations) -> None:
        """Records an invalid value, unless it is an unknown enum name and those are ignored."""
        if not (self.ignore_unknown and isinstance(wrong, UnknownName)):
            violations.add_at(location, wrong)

    def message(self, desc: DescMessage) -> Reader:
        """Returns the reader of a message type that is an object or an array in JSON."""
        reader = self._by_type.get(desc.type_name)
        if reader is None:
            reader = any_and_struct.reader_for(desc, self) or _MessageReader(self, desc)
            self._by_type[desc.type_name] = reader
        return reader

    def text(self, element: DescMessage | DescEnum | ScalarType) -> LeafReader | None:
        """Returns the reader of text from a query as a type, or None for messages without a text form."""
        leaf = text_leaf(element)
        if leaf is None and isinstance(element, DescMessage):
            return any_and_struct.text_leaf(element, self)
        return leaf

    def field(self, field: DescField) -> FieldReader:
        """Returns the reader of a field."""
        value, reader = field.value, self._reader(field)
        is_plain = isinstance(value, DescFieldValueList | DescFieldValueMap) or value.oneof is None
        leaf = reader.leaf if isinstance(reader, ElementReader) else None
        attribute = field.local_name if is_plain else ""
        return FieldReader(field, field.json_name, attribute, is_nullable(field), leaf, reader)

    def extension(self, extension: DescExtension) -> FieldReader:
        """Returns the reader of an extension, whose JSON key is "[its.full.name]"."""
        reader = self._reader(extension)
        leaf = reader.leaf if isinstance(reader, ElementReader) else None
        return FieldReader(extension, f"[{extension.type_name}]", "", False, leaf, reader)

    def _reader(self, field: DescField | DescExtension) -> Reader:
        match field.value:
            case DescFieldValueScalar(scalar=scalar):
                return ElementReader(self, scalar)
            case DescFieldValueEnum(enum=enum):
                return ElementReader(self, enum)
            case DescFieldValueMessage(message=message):
                reader = ElementReader(self, message)
                if is_resource_mask(field):
                    reader.leaf = resource_mask(message)
                return reader
            case DescFieldValueList(element=element):
                return _ListReader(ElementReader(self, element), self.depth_max, items_max(field_rules(field)))
            case DescFieldValueMap(key=key, value=element):
                return _MapReader(
                    FROM_TEXT[key], ElementReader(self, element), self.depth_max, items_max(field_rules(field))
                )


def is_nullable(field: DescField) -> bool:
    """Returns whether JSON null is a value of the field rather than its absence."""
    match field.value:
        case DescFieldValueMessage(message=message):
            return message.type_name == any_and_struct.VALUE
        case DescFieldValueEnum(enum=enum):
            return enum.type_name == NULL_VALUE
    return False


class _MessageReader:
    """A reader of objects as messages."""

    __slots__ = ("_depth_max", "_fields", "_readers", "_type")

    def __init__(self, readers: Readers, desc: DescMessage) -> None:
        self._type = desc.type
        self._readers = readers
        self._depth_max = readers.depth_max
        by_number = {field.number: readers.field(field) for field in desc.fields}
        self._fields = {name: by_number[field.number] for name, field in fields_by_name(desc).items()}
        for extension in readers.registry.extensions_for(desc):
            self._fields.setdefault(f"[{extension.type_name}]", readers.extension(extension))

    def read(self, value: Any, location: Location, violations: Violations) -> Any:
        if not violations.check_container(value, dict, location, self._depth_max):
            return INVALID
        message = self._type()
        for key, item in value.items():
            field = self._fields.get(key)
            if field is None:
                self._record_unknown_field(key, location, violations)
                continue
            if item is None and not field.nullable:
                continue
            try:
                if key != field.json_name:
                    _record_proto_name(field, value, violations)
                if field.leaf is None:
                    item = field.reader.read(item, (location, key, location[2] + 1), violations)
                    if item is not INVALID:
                        field.assign(message, item)
                elif field.attribute:
                    setattr(message, field.attribute, field.leaf(item))
                else:
                    field.assign(message, field.leaf(item))
            except InvalidValue as wrong:
                self._readers.record(wrong, (location, key, location[2] + 1), violations)
        return message

    def _record_unknown_field(self, key: str, location: Location, violations: Violations) -> None:
        if not self._readers.ignore_unknown:
            violations.add_at((location, key, location[2] + 1), InvalidValue("is not a known field", "FIELD_UNKNOWN"))


def _record_proto_name(field: FieldReader, value: dict[str, Any], violations: Violations) -> None:
    violations.proto_names_used.add(field.desc.name)
    if field.json_name in value:
        raise InvalidValue(f"is also given as {field.json_name}", "FIELD_GIVEN_TWICE")


class _ListReader:
    """A reader of arrays as repeated fields."""

    __slots__ = ("_depth_max", "_element", "_items_max")

    def __init__(self, element: ElementReader, depth_max: int, items_max: int | None) -> None:
        """`items_max` is the contract's limit, checked before any element is read; None means no limit."""
        self._element = element
        self._depth_max = depth_max
        self._items_max = items_max

    def read(self, value: Any, location: Location, violations: Violations) -> Any:
        if not violations.check_container(value, list, location, self._depth_max):
            return INVALID
        if self._items_max is not None and len(value) > self._items_max:
            violations.add_at(location, too_many_items(self._items_max))
            return INVALID
        depth = location[2] + 1
        read = self._element.read
        items = (read(item, (location, index, depth), violations) for index, item in enumerate(value))
        return [item for item in items if item is not INVALID]


class _MapReader:
    """A reader of objects as map fields."""

    __slots__ = ("_depth_max", "_element", "_items_max", "_key")

    def __init__(self, key: LeafReader, element: ElementReader, depth_max: int, items_max: int | None) -> None:
        """`items_max` is as for _ListReader."""
        self._key = key
        self._element = element
        self._depth_max = depth_max
        self._items_max = items_max

    def read(self, value: Any, location: Location, violations: Violations) -> Any:
        if not violations.check_container(value, dict, location, self._depth_max, MapKey):
            return INVALID
        if self._items_max is not None and len(value) > self._items_max:
            violations.add_at(location, too_many_entries(self._items_max))
            return INVALID
        entries: dict[Any, Any] = {}
        for text, item in value.items():
            at = (location, MapKey(text), location[2] + 1)
            try:
                key = self._key(text)
            except InvalidValue as wrong:
                violations.add_at(at, wrong)
                continue
            if key in entries:
                violations.add_at(at, InvalidValue("is the same key as another one", "FIELD_GIVEN_TWICE"))
            elif (entry := self._element.read(item, at, violations)) is not INVALID:
                entries[key] = entry
        return entries
