"""What is wrong with a request: every violation with the path of its field, as the client wrote it."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

from edge.protojson.parser import RepeatedKeys
from mesh.errors import VIOLATIONS_MAX, FieldViolation, invalid_fields

TEXT_LENGTH_MAX: Final = 120

Place = tuple["Place | None", "str | int", int]
"""Where a value is: the place around it, its name, index or MapKey there, and its depth. The root is ROOT."""

ROOT: Final[Place] = (None, "", 0)

MISSING: Final = object()
"""What reading gives where there is no value: it was wrong, and that is noted."""


class MapKey(str):
    """The key of a map's entry, as part of a path."""

    __slots__ = ()


class InvalidValue(ValueError):
    """A value that its field can't take. The text is for the caller and follows the field's name."""

    def __init__(self, description: str, reason: str = "INVALID_VALUE") -> None:
        super().__init__(description)
        self.description = description
        self.reason = reason


class UnknownName(InvalidValue):
    """The name of a value that the contract's enum does not have: the peer's contract may be a newer one."""


def too_many_items(items_max: int) -> InvalidValue:
    """Returns what protovalidate says of a list that is too long, before any of its elements is read."""
    return InvalidValue(f"must contain no more than {items_max} item(s)", "REPEATED_MAX_ITEMS")


def too_many_entries(entries_max: int) -> InvalidValue:
    """Returns what protovalidate says of a map that is too large, before any of its entries is read."""
    return InvalidValue(f"map must be at most {entries_max} entries", "MAP_MAX_PAIRS")


class Problems:
    """Collects violations, VIOLATIONS_MAX at most: then what is left of the request is not read. `own_names` are the
    names of the contract, rather than of JSON, that the client used.
    """

    __slots__ = ("own_names", "violations")

    def __init__(self) -> None:
        self.violations: list[FieldViolation] = []
        self.own_names: set[str] = set()

    def check(self) -> None:
        """Raises InvalidArgument with the violations, if there are any."""
        if self.violations:
            raise invalid_fields(tuple(self.violations))

    def add(self, field: str, wrong: InvalidValue) -> None:
        """Notes that this field is wrong. Raises InvalidArgument if it is the last violation that is looked for."""
        self.note(FieldViolation(field, wrong.description, wrong.reason))

    def note(self, violation: FieldViolation) -> None:
        """Notes a violation. Raises InvalidArgument if it is the last that is looked for."""
        self.violations.append(violation)
        if len(self.violations) >= VIOLATIONS_MAX:
            self.check()

    def add_at(self, place: Place, wrong: InvalidValue) -> None:
        """Notes that the value at this place is wrong."""
        self.add(render(place) or "body", wrong)

    def may_enter(
        self,
        value: object,
        wanted: type[dict[str, Any] | list[Any]],
        place: Place,
        depth_max: int,
        key: Callable[[str], str] = str,
    ) -> bool:
        """Whether the value is an object or an array, as wanted, and not nested too deeply; notes it if not. Notes the
        keys that an object has more than once, each as a `key`.
        """
        if not isinstance(value, wanted):
            self.add_at(
                place, InvalidValue(f"must be {'an object' if wanted is dict else 'an array'}, not {kind(value)}")
            )
            return False
        if place[2] >= depth_max:
            self.add_at(place, InvalidValue(f"is nested more than {depth_max} deep", "NESTED_TOO_DEEPLY"))
            return False
        if type(value) is RepeatedKeys:
            for name in value.repeated:
                self.add_at(
                    (place, key(name), place[2] + 1), InvalidValue("is given more than once", "FIELD_GIVEN_TWICE")
                )
        return True


def render(place: Place) -> str:
    """The path of a place: `lines[0].unitPrice.units`, `labels["en"]`. Empty for the root."""
    segments: list[str | int] = []
    at: Place | None = place
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


def shorten(text: str) -> str:
    """A text of the client's that is fit to be sent back: no more of it than helps, and nothing that isn't UTF-8."""
    cut = text if len(text) <= TEXT_LENGTH_MAX else text[:TEXT_LENGTH_MAX] + "…"
    return cut.encode(errors="replace").decode()


def kind(value: object) -> str:
    """What a JSON value is, in words."""
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
