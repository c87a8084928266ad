"""Query parameters and form fields, and the fields of a message that they set.

http.proto: "Any fields in the request message which are not bound by the path template automatically become HTTP query
parameters if there is no HTTP request body." A key is the path of a field, each name in camelCase or snake_case;
repeated fields repeat the key; `labels[key]=value` is an entry of a map. A well-known type is one value, as text or as
JSON, or like any message one parameter for each field. A json_name may contain dots and brackets; the longest name that
a key begins with wins.
"""

import contextlib
from dataclasses import dataclass
from typing import Any, Final

from protobuf import (
    DescField,
    DescFieldValueList,
    DescFieldValueMap,
    DescFieldValueMessage,
    DescMessage,
    Message,
)

from edge.bind.parameter_names import ParameterNames, unknown_parameter
from edge.protojson.any_and_struct import LIST_VALUE, STRUCT
from edge.protojson.client_paths import proto_path
from edge.protojson.fields import assign, descend
from edge.protojson.leaf_readers import LeafReader
from edge.protojson.readers import Readers
from edge.protojson.scalars import FROM_TEXT
from edge.protojson.violations import InvalidValue, Violations, shorten
from edge.protojson.well_known import FIELD_MASK, MASK_PATH_OF_TEXT
from mesh.contract.descriptors import element_of

CACHED_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class _Parameter:
    """The target of a key: the fields down to a leaf, and the readers of its text and of a map's key. `path` has proto
    names, and so has `enclosing`, the path of the well-known type around the leaf that one text could set as a whole,
    "" if there is none. `proto_names` are the names in the key that differ from the JSON names.
    """

    fields: tuple[DescField, ...]
    proto_names: frozenset[str]
    path: str
    leaf: LeafReader
    map_key: LeafReader | None
    repeated: bool
    enclosing: str


class QueryParameters:
    """The query parameters of one method."""

    def __init__(
        self,
        message: DescMessage,
        readers: Readers,
        *,
        in_path: tuple[tuple[DescField, ...], ...] = (),
        in_body: DescField | None = None,
    ) -> None:
        """The path and the body hold the fields `in_path` and `in_body`; no parameter may set them. `readers` are those
        of bodies, whose settings apply here too.
        """
        self._message = message
        self._readers = readers
        self._in_path = frozenset(map(proto_path, in_path))
        self._in_body = in_body
        self._cache: dict[str, _Parameter] = {}
        self._names: dict[str, ParameterNames] = {}

    def bind(self, pairs: list[tuple[str, str]], message: Message, violations: Violations) -> None:
        """Sets the fields that the pairs name. Adds invalid pairs to `violations`, under the keys that the client
        used.
        """
        given: dict[str, str] = {}
        for key, text in pairs:
            try:
                self._bind(key, text, message, given, violations)
            except InvalidValue as wrong:
                if not (self._readers.ignore_unknown and wrong.reason == "FIELD_UNKNOWN"):
                    violations.add(shorten(key), wrong)

    def document(self, pairs: list[tuple[str, str]]) -> dict[str, Any]:
        """Returns a JSON object with the fields that the pairs name, and with the texts as their values. Leaves out
        invalid names, which bind() reports.
        """
        document: dict[str, Any] = {}
        for key, text in pairs:
            with contextlib.suppress(InvalidValue):
                parameter = self._cache.get(key) or self._resolve(key)[0]
                at = document
                for field in parameter.fields[:-1]:
                    inner = at.get(field.json_name)
                    if not isinstance(inner, dict):
                        inner = at[field.json_name] = {}
                    at = inner
                at[parameter.fields[-1].json_name] = text
        return document

    def _bind(self, key: str, text: str, message: Message, given: dict[str, str], violations: Violations) -> None:
        parameter, entry = self._cache.get(key), None
        if parameter is None:
            parameter, entry = self._resolve(key)
        if (entry is None) is not (parameter.map_key is None):
            raise InvalidValue(
                "must be given as name[key]=value" if parameter.map_key else "is not a map", "FIELD_UNKNOWN"
            )
        path = parameter.path
        violations.proto_names_used.update(parameter.proto_names)
        target = path if entry is None else f"{path}[{entry}]"
        # The entry "path." holds the first key that sets a field of that well-known type.
        first = given.get(target) or given.get(f"{path}.") or given.get(parameter.enclosing)
        if first is not None and first != key:
            raise InvalidValue(f"is also given as {shorten(first)}", "FIELD_GIVEN_TWICE")
        if first is not None and not parameter.repeated:
            raise InvalidValue("is given more than once", "FIELD_GIVEN_TWICE")
        given[target] = key
        if parameter.enclosing:
            given.setdefault(f"{parameter.enclosing}.", key)
        _set(message, parameter, text, entry)

    def _resolve(self, key: str) -> tuple[_Parameter, str | None]:
        """Returns the parameter that a key names, and the key of the map's entry if it names one. Raises
        InvalidValue.
        """
        fields, proto_names, enclosing, rest = self._resolve_fields(key)
        entry = None
        if rest:
            if not rest.endswith("]"):
                raise unknown_parameter()
            entry = rest[1:-1]
        path = proto_path(fields)
        if any(f"{bound}.".startswith(f"{path}.") or bound == enclosing for bound in self._in_path):
            raise InvalidValue("is already in the path", "FIELD_GIVEN_TWICE")
        if fields[0] is self._in_body:
            raise InvalidValue("belongs in the body", "FIELD_IN_BODY")
        parameter = self._parameter(fields, proto_names, enclosing)
        if entry is None and len(self._cache) < CACHED_MAX:
            self._cache[key] = parameter
        return parameter, entry

    def _resolve_fields(self, key: str) -> tuple[tuple[DescField, ...], frozenset[str], str, str]:
        """Returns the fields that a key names, its proto names, the path of the well-known type among the fields that
        one text could set as a whole, and the rest of the key in brackets. Raises InvalidValue.
        """
        fields: list[DescField] = []
        proto_names: set[str] = set()
        enclosing, rest = "", f".{key}"
        at: DescMessage | None = self._message
        while rest.startswith("."):
            if len(fields) == self._readers.depth_max:
                raise InvalidValue(f"is nested more than {self._readers.depth_max} deep", "NESTED_TOO_DEEPLY")
            if at is None:
                raise unknown_parameter()
            if fields and not enclosing and self._readers.text(at) is not None:
                enclosing = proto_path(tuple(fields))
            name, field = self._names_of(at).longest_prefix(rest[1:])
            fields.append(field)
            if name != field.json_name:
                proto_names.add(name)
            at = field.value.message if isinstance(field.value, DescFieldValueMessage) else None
            rest = rest[1 + len(name) :]
        return tuple(fields), frozenset(proto_names), enclosing, rest

    def _names_of(self, message: DescMessage) -> ParameterNames:
        found = self._names.get(message.type_name)
        if found is None:
            found = self._names[message.type_name] = ParameterNames(message)
        return found

    def _parameter(self, fields: tuple[DescField, ...], proto_names: frozenset[str], enclosing: str) -> _Parameter:
        kind = fields[-1].value
        map_key = FROM_TEXT[kind.key] if isinstance(kind, DescFieldValueMap) else None
        repeated = isinstance(kind, DescFieldValueList)
        leaf = self._readers.text(element_of(fields[-1]))
        if leaf is None:
            raise InvalidValue(
                "is a message; a parameter can only set one of its fields, as in name.field", "FIELD_UNKNOWN"
            )
        return _Parameter(fields, proto_names, proto_path(fields), leaf, map_key, repeated, enclosing)


def _set(message: Message, parameter: _Parameter, text: str, key: str | None) -> None:
    """Sets a leaf from text. Raises InvalidValue if the text is not a value of its type."""
    field = parameter.fields[-1]
    entry = parameter.map_key(key) if parameter.map_key is not None else None
    value = parameter.leaf(text)
    target = descend(message, parameter.fields)
    if parameter.repeated:
        target[field].append(value)
    elif parameter.map_key is not None:
        if entry in target[field]:
            raise InvalidValue("has the same key as another entry", "FIELD_GIVEN_TWICE")
        target[field][entry] = value
    else:
        assign(target, field, value)
    if parameter.enclosing and not _is_valid(target, value):
        raise InvalidValue(f"is not a valid {target.desc().type_name}", "OUT_OF_RANGE")


def _is_valid(message: Any, added: Any) -> bool:
    """Returns whether the fields of a well-known type together are a valid value. What was valid before the value
    `added` is not checked again: a form of a thousand elements would take minutes.
    """
    type_name = message.desc().type_name
    if type_name == FIELD_MASK:
        return MASK_PATH_OF_TEXT.fullmatch(added) is not None
    if type_name in (LIST_VALUE, STRUCT):
        return True  # the element was read as JSON
    try:
        return bool(message.to_json())
    except (ValueError, OverflowError):
        return False
