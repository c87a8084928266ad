"""From JSON values to messages of any descriptor, with every violation noted at its place.

A reader is made once for each message type, on its first use, and holds all that its descriptor says; reading a value
looks nothing up in descriptors.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

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

from edge.protojson import dynamic
from edge.protojson.fields import assign, names_of
from edge.protojson.leaves import NULL_VALUE, Leaf, json_leaf, text_leaf
from edge.protojson.problems import (
    MISSING,
    InvalidValue,
    MapKey,
    Place,
    Problems,
    UnknownName,
    too_many_entries,
    too_many_items,
)
from edge.protojson.scalars import FROM_TEXT
from mesh.contract.rules import field_rules, items_max

DEPTH_MAX: Final = 64


class Reader(Protocol):
    """Reads a JSON value that holds others."""

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        """The value for the message's field, or MISSING."""


class Element:
    """How to read a value of one type, wherever it stands: by a leaf, or by a reader.

    The reader is found when it is needed: message types refer to themselves.
    """

    __slots__ = ("_readers", "_type", "leaf")

    def __init__(self, readers: "Readers", element: DescMessage | DescEnum | ScalarType) -> None:
        self.leaf: Leaf | None = json_leaf(element)
        self._readers = readers
        self._type = element

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        """The value, or MISSING."""
        if self.leaf is None:
            assert isinstance(self._type, DescMessage), "all other types have leaves"
            return self._readers.message(self._type).read(value, place, problems)
        try:
            return self.leaf(value)
        except InvalidValue as wrong:
            self._readers.note(wrong, place, problems)
            return MISSING


@dataclass(frozen=True, slots=True)
class FieldReader:
    """How a field is read and set. `attribute` is the message's that holds it, empty if setting it takes more."""

    desc: DescField | DescExtension
    json_name: str
    attribute: str
    nullable: bool
    leaf: Leaf | None
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

    def note(self, wrong: InvalidValue, place: Place, problems: Problems) -> None:
        """Notes a value that is wrong, unless it is only unknown and that is let pass."""
        if not (self.ignore_unknown and isinstance(wrong, UnknownName)):
            problems.add_at(place, wrong)

    def message(self, desc: DescMessage) -> Reader:
        """The reader of a message type that is an object or an array in JSON."""
        reader = self._by_type.get(desc.type_name)
        if reader is None:
            reader = dynamic.reader(desc, self) or _MessageReader(self, desc)
            self._by_type[desc.type_name] = reader
        return reader

    def text(self, element: DescMessage | DescEnum | ScalarType) -> Leaf | None:
        """Reads a text of a query as this type; None for messages that no text stands for."""
        leaf = text_leaf(element)
        if leaf is None and isinstance(element, DescMessage):
            return dynamic.text_leaf(element, self)
        return leaf

    def field(self, field: DescField) -> FieldReader:
        """How to read a field."""
        value, reader = field.value, self._reader(field)
        is_plain = isinstance(value, DescFieldValueList | DescFieldValueMap) or value.oneof is None
        leaf = reader.leaf if isinstance(reader, Element) else None
        attribute = field.local_name if is_plain else ""
        return FieldReader(field, field.json_name, attribute, is_nullable(field), leaf, reader)

    def extension(self, extension: DescExtension) -> FieldReader:
        """How to read an extension, whose key in JSON is "[its.full.name]"."""
        reader = self._reader(extension)
        leaf = reader.leaf if isinstance(reader, Element) else None
        return FieldReader(extension, f"[{extension.type_name}]", "", False, leaf, reader)

    def _reader(self, field: DescField | DescExtension) -> Reader:
        match field.value:
            case DescFieldValueScalar(scalar=scalar):
                return Element(self, scalar)
            case DescFieldValueEnum(enum=enum):
                return Element(self, enum)
            case DescFieldValueMessage(message=message):
                return Element(self, message)
            case DescFieldValueList(element=element):
                return _ListReader(Element(self, element), self.depth_max, items_max(field_rules(field)))
            case DescFieldValueMap(key=key, value=element):
                return _MapReader(FROM_TEXT[key], Element(self, element), self.depth_max, items_max(field_rules(field)))


def is_nullable(field: DescField) -> bool:
    """Whether null is a value of the field rather than its absence."""
    match field.value:
        case DescFieldValueMessage(message=message):
            return message.type_name == dynamic.VALUE
        case DescFieldValueEnum(enum=enum):
            return enum.type_name == NULL_VALUE
    return False


class _MessageReader:
    """Reads an object as a message."""

    __slots__ = ("_depth_max", "_fields", "_readers", "_type")

    def __init__(self, readers: Readers, desc: DescMessage) -> None:
        self._type = desc.type
        self._readers = readers
        self._depth_max = readers.depth_max
        by_number = {field.number: readers.field(field) for field in desc.fields}
        self._fields = {name: by_number[field.number] for name, field in names_of(desc).items()}
        for extension in readers.registry.extensions_for(desc):
            self._fields.setdefault(f"[{extension.type_name}]", readers.extension(extension))

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        if not problems.may_enter(value, dict, place, self._depth_max):
            return MISSING
        message = self._type()
        for key, item in value.items():
            field = self._fields.get(key)
            if field is None:
                self._note_unknown(key, place, problems)
                continue
            if item is None and not field.nullable:
                continue
            try:
                if key != field.json_name:
                    _note_own_name(field, value, problems)
                if field.leaf is None:
                    item = field.reader.read(item, (place, key, place[2] + 1), problems)
                    if item is not MISSING:
                        field.assign(message, item)
                elif field.attribute:
                    setattr(message, field.attribute, field.leaf(item))
                else:
                    field.assign(message, field.leaf(item))
            except InvalidValue as wrong:
                self._readers.note(wrong, (place, key, place[2] + 1), problems)
        return message

    def _note_unknown(self, key: str, place: Place, problems: Problems) -> None:
        if not self._readers.ignore_unknown:
            problems.add_at((place, key, place[2] + 1), InvalidValue("is not a field here", "FIELD_UNKNOWN"))


def _note_own_name(field: FieldReader, value: dict[str, Any], problems: Problems) -> None:
    problems.own_names.add(field.desc.name)
    if field.json_name in value:
        raise InvalidValue(f"is given as {field.json_name} too", "FIELD_GIVEN_TWICE")


class _ListReader:
    """Reads an array as a repeated field."""

    __slots__ = ("_depth_max", "_element", "_items_max")

    def __init__(self, element: Element, depth_max: int, items_max: int | None) -> None:
        """`items_max` is the contract's rule, which no element is read beyond; None for any number."""
        self._element = element
        self._depth_max = depth_max
        self._items_max = items_max

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        if not problems.may_enter(value, list, place, self._depth_max):
            return MISSING
        if self._items_max is not None and len(value) > self._items_max:
            problems.add_at(place, too_many_items(self._items_max))
            return MISSING
        depth = place[2] + 1
        read = self._element.read
        items = (read(item, (place, index, depth), problems) for index, item in enumerate(value))
        return [item for item in items if item is not MISSING]


class _MapReader:
    """Reads an object as a map field."""

    __slots__ = ("_depth_max", "_element", "_items_max", "_key")

    def __init__(self, key: Leaf, element: Element, depth_max: int, items_max: int | None) -> None:
        """`items_max` is as of a list."""
        self._key = key
        self._element = element
        self._depth_max = depth_max
        self._items_max = items_max

    def read(self, value: Any, place: Place, problems: Problems) -> Any:
        if not problems.may_enter(value, dict, place, self._depth_max, MapKey):
            return MISSING
        if self._items_max is not None and len(value) > self._items_max:
            problems.add_at(place, too_many_entries(self._items_max))
            return MISSING
        entries: dict[Any, Any] = {}
        for text, item in value.items():
            at = (place, MapKey(text), place[2] + 1)
            try:
                key = self._key(text)
            except InvalidValue as wrong:
                problems.add_at(at, wrong)
                continue
            if key in entries:
                problems.add_at(at, InvalidValue("is the same key as another one", "FIELD_GIVEN_TWICE"))
            elif (entry := self._element.read(item, at, problems)) is not MISSING:
                entries[key] = entry
        return entries
