"""Partial responses: the fields of a response that a client selects (AIP-157).

    selection = path *( "," path )
    path      = name *( ( "." / "/" ) name ) [ "(" selection ")" ]
    name      = a field's name in either spelling / the key of a map / "*" / "`" any of these "`"

This combines the notation of google.protobuf.FieldMask, with the backquotes of AIP-161 around a name that contains a
separator, and the older notation of Google's APIs,
https://developers.google.com/discovery/v1/performance#partial-response.
"""

import re
from typing import Any, Final, TypeAlias

from protobuf import DescField, DescFieldValueMap, DescMessage
from protobuf.wkt import Struct

from edge.protojson.fields import find_field
from edge.protojson.leaf_readers import text_leaf
from edge.protojson.violations import InvalidValue, shorten
from mesh.contract.descriptors import inner_message

ALL: Final = "*"
DEPTH_MAX: Final = 32

Selection: TypeAlias = "dict[str, Selection] | None"
"""The selected fields by JSON key, each with the selection inside it; None selects the whole value."""

_Owner: TypeAlias = DescMessage | DescFieldValueMap | None
"""The scope in which a name is looked up; None has no fields."""

_TOKEN = re.compile(r"[,./()]|`[^`]*`|[^\s,./()]+")
_MARKS: Final = frozenset(",./()")
_ANY_JSON: Final = frozenset(f"google.protobuf.{name}" for name in ("Any", "Struct", "Value", "ListValue"))
_FREE: Final = Struct.desc()  # accepts any field name


def parse(text: str, message: DescMessage, *, proto_names: bool) -> Selection:
    """Parses the selection of fields of a message. `proto_names` selects the spelling of the keys in the JSON that it
    is applied to. Raises InvalidValue.
    """
    return _Parser(text, proto_names=proto_names).parse(message)


def trim(value: Any, selection: Selection) -> Any:
    """Returns the JSON value with only the selected fields; a selection applies to each element of an array. A "*" at
    the end of a path selects whole fields, also those of which another path selects a part.
    """
    if selection is None or selection.get(ALL, {}) is None:
        return value
    if isinstance(value, list):
        return [trim(item, selection) for item in value]
    if not isinstance(value, dict):
        return value
    rest = selection.get(ALL, {})
    return {
        key: trim(item, selection.get(key, rest)) for key, item in value.items() if key in selection or ALL in selection
    }


class _Parser:
    """A recursive-descent parser with one method for each rule of the grammar."""

    def __init__(self, text: str, *, proto_names: bool) -> None:
        self._tokens = _TOKEN.findall(text)
        self._at = 0
        self._proto_names = proto_names

    def parse(self, message: DescMessage) -> Selection:
        selected: dict[str, Selection] = {}
        self._selection(message, selected, 1)
        if self._at < len(self._tokens):
            raise InvalidValue(f'has "{shorten(self._tokens[self._at])}" where a comma is expected')
        _check_wildcards(selected)
        return selected

    def _selection(self, owner: _Owner, selected: dict[str, Selection], depth: int) -> None:
        self._path(owner, selected, depth)
        while self._take(","):
            self._path(owner, selected, depth)

    def _path(self, owner: _Owner, selected: dict[str, Selection], depth: int) -> None:
        if depth > DEPTH_MAX:
            raise InvalidValue(f"is nested more than {DEPTH_MAX} levels deep", "NESTED_TOO_DEEPLY")
        name, inner = self._name(owner)
        if self._take(".") or self._take("/"):
            self._path(inner, _below(selected, name), depth + 1)
        elif self._take("("):
            self._selection(inner, _below(selected, name), depth + 1)
            if not self._take(")"):
                raise InvalidValue('is missing a ")"')
        else:
            selected[name] = None

    def _take(self, mark: str) -> bool:
        found = self._tokens[self._at : self._at + 1] == [mark]
        self._at += found
        return found

    def _name(self, owner: _Owner) -> tuple[str, _Owner]:
        """Reads the next name. Returns its JSON key and the scope of names inside it."""
        name = self._tokens[self._at] if self._at < len(self._tokens) else ""
        if not name or name in _MARKS:
            raise InvalidValue(
                "ends where a field name is expected" if not name else f'has "{name}" where a field name is expected'
            )
        self._at += 1
        if len(name) > 1 and name[0] == name[-1] == "`":
            name = name[1:-1]
        match owner:
            case None:
                raise InvalidValue(f"selects {shorten(name)} inside a field that has no fields", "FIELD_UNKNOWN")
            case DescFieldValueMap(value=value):
                return name, value if isinstance(value, DescMessage) else None
            case DescMessage(type_name=type_name) if type_name in _ANY_JSON or name == ALL:
                return name, _FREE
        field = find_field(owner, name)
        if field is None:
            raise InvalidValue(f"selects {shorten(name)}, which {owner.name} does not have", "FIELD_UNKNOWN")
        return field.name if self._proto_names else field.json_name, _owner(field)


def _check_wildcards(selection: dict[str, Selection]) -> None:
    """Raises InvalidValue where parts of each field are selected, and others of one of them."""
    for name, parts in selection.items():
        if parts is not None:
            if name != ALL and selection.get(ALL):
                raise InvalidValue(f'selects parts of "*" and others of {shorten(name)}, which "*" includes')
            _check_wildcards(parts)


def _owner(field: DescField) -> _Owner:
    if isinstance(field.value, DescFieldValueMap):
        return field.value
    message = inner_message(field)
    is_leaf = message is not None and text_leaf(message) is not None and message.type_name not in _ANY_JSON
    return None if is_leaf else message


def _below(selected: dict[str, Selection], name: str) -> dict[str, Selection]:
    """Returns the selection inside a field. A field that is selected as a whole stays so."""
    below = selected.setdefault(name, {})
    return {} if below is None else below
