"""The violations of a request, each with the path of its field in the client's spelling."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from edge.protojson.parser import DuplicateKeys
from mesh.errors import VIOLATIONS_MAX, FieldViolation, invalid_fields

TEXT_LENGTH_MAX: Final = 120

Location = tuple["Location | None", "str | int", int]
"""The location of a value: its parent's location, its name, index or MapKey there, and its depth. The root is ROOT."""

ROOT: Final[Location] = (None, "", 0)

BODY: Final = "body"
"""The path of the body as a whole."""

INVALID: Final = object()
"""The result of a reader for an invalid value, whose violation it has recorded."""


class MapKey(str):
    """The key of a map entry, as a segment of a path."""

    __slots__ = ()


class InvalidValue(ValueError):
    """A value that its field can't take. Its text is shown to the caller after the field's name."""

    def __init__(self, description: str, reason: str = "INVALID_VALUE") -> None:
        super().__init__(description)
        self.description = description
        self.reason = reason


class UnknownName(InvalidValue):
    """An enum name that this contract does not declare; the peer may use a newer version of the contract."""


def too_many_items(items_max: int) -> InvalidValue:
    """Returns protovalidate's violation for a list that is too long, to raise before its elements are read."""
    return InvalidValue(f"must contain no more than {items_max} item(s)", "REPEATED_MAX_ITEMS")


def too_many_entries(entries_max: int) -> InvalidValue:
    """Returns protovalidate's violation for a map that is too large, to raise before its entries are read."""
    return InvalidValue(f"map must be at most {entries_max} entries", "MAP_MAX_PAIRS")


class Violations:
    """A collector of violations. Reading stops at VIOLATIONS_MAX of them.

    `proto_names_used` are the proto names that the client sent instead of JSON names. `paths` are those of the
    violations from the root of the request, also of those that are shown from the body.
    """

    __slots__ = ("_body", "found", "paths", "proto_names_used")

    def __init__(self, body: str = "") -> None:
        """`body` is the JSON name of the field that the body holds, if it holds one; paths inside of it begin there."""
        self._body = body
        self.found: list[FieldViolation] = []
        self.paths: list[str] = []
        self.proto_names_used: set[str] = set()

    def raise_if_any(self) -> None:
        """Raises InvalidArgument with the violations, if there are any."""
        if self.found:
            raise invalid_fields(tuple(self.found))

    def add(self, field: str, wrong: InvalidValue) -> None:
        """Records an invalid value of a field. Raises InvalidArgument at VIOLATIONS_MAX."""
        self.record(FieldViolation(field, wrong.description, wrong.reason))

    def record(self, violation: FieldViolation, path: str = "") -> None:
        """Records a violation, `path` is that of its field from the root of the request if it is shown from the body.
        Raises InvalidArgument at VIOLATIONS_MAX.
        """
        self.found.append(violation)
        self.paths.append(path or violation.field)
        if len(self.found) >= VIOLATIONS_MAX:
            self.raise_if_any()

    def add_at(self, location: Location, wrong: InvalidValue) -> None:
        """Records an invalid value at a location."""
        path = format_path(location)
        shown = _from_body(path, self._body) if self._body else path
        self.record(FieldViolation(shown or BODY, wrong.description, wrong.reason), path)

    def check_container(
        self,
        value: object,
        expected: type[dict[str, Any] | list[Any]],
        location: Location,
        depth_max: int,
        key: Callable[[str], str] = str,
    ) -> bool:
        """Returns whether the value is of the expected type, an object or an array, and not nested too deeply; records
        a violation if it is not. Records duplicate keys of an object too; `key` makes their path segments.
        """
        if not isinstance(value, expected):
            self.add_at(
                location,
                InvalidValue(f"must be {'an object' if expected is dict else 'an array'}, not {json_type_name(value)}"),
            )
            return False
        if location[2] >= depth_max:
            self.add_at(location, InvalidValue(f"is nested more than {depth_max} levels deep", "NESTED_TOO_DEEPLY"))
            return False
        if type(value) is DuplicateKeys:
            for name in value.repeated:
                self.add_at(
                    (location, key(name), location[2] + 1), InvalidValue("is given more than once", "FIELD_GIVEN_TWICE")
                )
        return True


def format_path(location: Location) -> str:
    """Returns the path of a location: `lines[0].unitPrice.units`, `labels["en"]`. The path of the root is empty."""
    segments: list[str | int] = []
    at: Location | None = location
    while at is not None and at[0] is not None:
        segments.append(at[1])
        at = at[0]
    path = ""
    for segment in reversed(segments):
        if isinstance(segment, int):
            path += f"[{segment}]"
        elif isinstance(segment, MapKey):
            path += f'["{shorten(segment)}"]'
        else:
            path += f".{shorten(segment)}" if path else shorten(segment)
    return path


def _from_body(path: str, body: str) -> str:
    """Returns the path from the field that the body holds, or unchanged if it is elsewhere."""
    inside = path.removeprefix(body)
    is_inside = inside != path and (not inside or inside[0] in ".[")
    return inside.removeprefix(".") if is_inside else path


def shorten(text: str) -> str:
    """Returns text of the client in a form that is safe to send back: truncated, and valid UTF-8."""
    cut = text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "…"
    return cut.encode(errors="replace").decode()


def json_type_name(value: object) -> str:
    """Returns the type of a JSON value in words, for error messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | Decimal():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
