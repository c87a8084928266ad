"""Query parameters, and form fields, onto the leaves of a message.

http.proto: "Any fields in the request message which are not bound by the path template automatically become HTTP query
parameters if there is no HTTP request body." A key is the path of a field, each name in camelCase or snake_case;
repeated fields repeat the key; `labels[key]=value` is an entry of a map. A well-known type is given as a whole, by the
text or the JSON that stands for it, or like any message by its fields. A json_name may hold dots and brackets: of the
names that a key begins with the longest counts.
"""

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from protobuf import (
    DescEnum,
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

from edge.protojson.client_paths import proto_path
from edge.protojson.fields import assign, descend, names_of
from edge.protojson.leaves import Leaf
from edge.protojson.problems import InvalidValue, Problems, shorten
from edge.protojson.readers import Readers
from edge.protojson.scalars import FROM_TEXT
from edge.protojson.well_known import FIELD_MASK, MASK_PATH_OF_TEXT

PARAMETERS_MAX: Final = 1000
REMEMBERED_MAX: Final = 1000

_PLAIN_NAME = re.compile(r"[^.\[\]]+")
_MALFORMED = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def split(encoded: bytes, problems: Problems) -> list[tuple[str, str]]:
    """The decoded pairs of an application/x-www-form-urlencoded text (URL Standard, section 5.1), read strictly."""
    pieces = encoded.split(b"&", PARAMETERS_MAX)
    if len(pieces) > PARAMETERS_MAX:
        problems.add("query", InvalidValue(f"has more than {PARAMETERS_MAX} parameters", "TOO_MANY_PARAMETERS"))
        return []
    pairs = []
    for piece in pieces:
        if piece:
            key, _, value = piece.partition(b"=")
            try:
                pairs.append((_decode(key), _decode(value)))
            except InvalidValue as wrong:
                problems.add(shorten(piece.partition(b"=")[0].decode("ascii", "replace")), wrong)
    return pairs


def _decode(encoded: bytes) -> str:
    if b"%" in encoded and _MALFORMED.search(encoded):
        raise InvalidValue("has a % that two hexadecimal digits do not follow", "MALFORMED_ENCODING")
    try:
        return unquote_to_bytes(encoded.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise InvalidValue("is not UTF-8", "MALFORMED_ENCODING") from None


@dataclass(frozen=True, slots=True)
class _Parameter:
    """A key's target: the fields down to the leaf, and how to read a text for it. `map_key` reads the key of a map.
    `path` is made of proto names; so is `inside`, the path of the message around the leaf that a text could give as a
    whole, empty if there is none. `own_names` are the names in the key that are the contract's and not JSON's.
    """

    fields: tuple[DescField, ...]
    own_names: frozenset[str]
    path: str
    leaf: Leaf
    map_key: Leaf | None
    repeated: bool
    inside: str


class Parameters:
    """The parameters that one method takes."""

    def __init__(
        self,
        message: DescMessage,
        readers: Readers,
        *,
        in_path: tuple[tuple[DescField, ...], ...] = (),
        in_body: DescField | None = None,
    ) -> None:
        """`in_path` and `in_body` are bound there, and no parameter may set them. `readers` are those of bodies, and
        give their settings.
        """
        self._message = message
        self._readers = readers
        self._in_path = frozenset(map(proto_path, in_path))
        self._in_body = in_body
        self._remembered: dict[str, _Parameter] = {}
        self._names: dict[str, _Names] = {}

    def bind(self, pairs: list[tuple[str, str]], message: Message, problems: Problems) -> None:
        """Sets what the pairs say; notes every one that is wrong, under the client's own key."""
        given: dict[str, str] = {}
        for key, text in pairs:
            try:
                self._bind(key, text, message, given, problems)
            except InvalidValue as wrong:
                if not (self._readers.ignore_unknown and wrong.reason == "FIELD_UNKNOWN"):
                    problems.add(shorten(key), wrong)

    def _bind(self, key: str, text: str, message: Message, given: dict[str, str], problems: Problems) -> None:
        parameter, entry = self._remembered.get(key), None
        if parameter is None:
            parameter, entry = self._resolve(key)
        if (entry is None) is not (parameter.map_key is None):
            raise InvalidValue(
                "must be given as name[key]=value" if parameter.map_key else "is not a map", "FIELD_UNKNOWN"
            )
        path = parameter.path
        problems.own_names.update(parameter.own_names)
        target = path if entry is None else f"{path}[{entry}]"
        # Under "path." stands the first field of a message that is given by its fields.
        first = given.get(target) or given.get(f"{path}.") or given.get(parameter.inside)
        if first is not None and first != key:
            raise InvalidValue(f"is given as {shorten(first)} too", "FIELD_GIVEN_TWICE")
        if first is not None and not parameter.repeated:
            raise InvalidValue("is given more than once", "FIELD_GIVEN_TWICE")
        given[target] = key
        if parameter.inside:
            given.setdefault(f"{parameter.inside}.", key)
        _put(message, parameter, text, entry)

    def _resolve(self, key: str) -> tuple[_Parameter, str | None]:
        """The parameter that a key names, and the key of a map's entry if it names one. Raises InvalidValue."""
        fields, own_names, inside, rest = self._fields(key)
        entry = None
        if rest:
            if not rest.endswith("]"):
                raise _unknown()
            entry = rest[1:-1]
        path = proto_path(fields)
        if any(f"{bound}.".startswith(f"{path}.") or bound == inside for bound in self._in_path):
            raise InvalidValue("is in the path already", "FIELD_GIVEN_TWICE")
        if fields[0] is self._in_body:
            raise InvalidValue("belongs in the body", "FIELD_IN_BODY")
        parameter = self._parameter(fields, own_names, inside)
        if entry is None and len(self._remembered) < REMEMBERED_MAX:
            self._remembered[key] = parameter
        return parameter, entry

    def _fields(self, key: str) -> tuple[tuple[DescField, ...], frozenset[str], str, str]:
        """The fields that a key names, the contract's own names in it, the path of the message among them that a text
        could give as a whole, and what follows in brackets. Raises InvalidValue.
        """
        fields: list[DescField] = []
        own_names: set[str] = set()
        inside, rest = "", f".{key}"
        at: DescMessage | None = self._message
        while rest.startswith("."):
            if len(fields) == self._readers.depth_max:
                raise InvalidValue(f"is nested more than {self._readers.depth_max} deep", "NESTED_TOO_DEEPLY")
            if at is None:
                raise _unknown()
            if fields and not inside and self._readers.text(at) is not None:
                inside = proto_path(tuple(fields))
            name, field = self._names_of(at).first(rest[1:])
            fields.append(field)
            if name != field.json_name:
                own_names.add(name)
            at = field.value.message if isinstance(field.value, DescFieldValueMessage) else None
            rest = rest[1 + len(name) :]
        return tuple(fields), frozenset(own_names), inside, rest

    def _names_of(self, message: DescMessage) -> "_Names":
        found = self._names.get(message.type_name)
        if found is None:
            found = self._names[message.type_name] = _Names(message)
        return found

    def _parameter(self, fields: tuple[DescField, ...], own_names: frozenset[str], inside: str) -> _Parameter:
        element: DescMessage | DescEnum | ScalarType
        map_key, repeated = None, False
        match fields[-1].value:
            case DescFieldValueScalar(scalar=scalar):
                element = scalar
            case DescFieldValueEnum(enum=enum):
                element = enum
            case DescFieldValueMessage(message=message):
                element = message
            case DescFieldValueList(element=of_list):
                element, repeated = of_list, True
            case DescFieldValueMap(key=key, value=of_map):
                element, map_key = of_map, FROM_TEXT[key]
        leaf = self._readers.text(element)
        if leaf is None:
            raise InvalidValue(
                "is a message; a parameter can only give a field of it, as in name.field", "FIELD_UNKNOWN"
            )
        return _Parameter(fields, own_names, proto_path(fields), leaf, map_key, repeated, inside)


class _Names:
    """The names of one message's fields, as keys hold them."""

    def __init__(self, message: DescMessage) -> None:
        self._names = names_of(message)
        odd = (name for name in self._names if not _PLAIN_NAME.fullmatch(name))
        self._odd = sorted(odd, key=len, reverse=True)

    def first(self, text: str) -> tuple[str, DescField]:
        """The longest name that a text begins with, and its field. Raises InvalidValue if it begins with none."""
        for name in self._odd:
            if text.startswith(name) and text[len(name) : len(name) + 1] in ("", ".", "["):
                return name, self._names[name]
        found = _PLAIN_NAME.match(text)
        field = self._names.get(found[0]) if found is not None else None
        if found is None or field is None:
            raise _unknown()
        return found[0], field


def _unknown() -> InvalidValue:
    return InvalidValue("is not a parameter of this method", "FIELD_UNKNOWN")


def _put(message: Message, parameter: _Parameter, text: str, key: str | None) -> None:
    """Sets a leaf from text. Raises InvalidValue if the text does not fit."""
    field = parameter.fields[-1]
    entry = parameter.map_key(key) if parameter.map_key is not None else None
    value = parameter.leaf(text)
    target = descend(message, parameter.fields)
    if parameter.repeated:
        target[field].append(value)
    elif parameter.map_key is not None:
        if entry in target[field]:
            raise InvalidValue("is the same key as another one", "FIELD_GIVEN_TWICE")
        target[field][entry] = value
    else:
        assign(target, field, value)
    if parameter.inside:
        _check_whole(target)


def _check_whole(message: Any) -> None:
    """Raises InvalidValue if the fields of a well-known type make a value that it does not have."""
    type_name = message.desc().type_name
    try:
        if type_name == FIELD_MASK:
            is_proper = all(map(MASK_PATH_OF_TEXT.fullmatch, message.paths))
        else:
            is_proper = bool(message.to_json())
    except (ValueError, OverflowError):
        is_proper = False
    if not is_proper:
        raise InvalidValue(f"makes no proper {type_name}", "OUT_OF_RANGE")
