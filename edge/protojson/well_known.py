"""Parsers of the well-known types whose JSON is a string: Timestamp, Duration and FieldMask.

google/protobuf/{timestamp,duration,field_mask}.proto define the formats.
"""

import re
from datetime import UTC, datetime
from typing import Final, Self

from edge.protojson.violations import InvalidValue, json_type_name

FIELD_MASK: Final = "google.protobuf.FieldMask"
DURATION_SECONDS_MAX: Final = 315_576_000_000
TIMESTAMP_SECONDS_MAX: Final = 253_402_300_799

_TIMESTAMP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-5][0-9])"
)
_DURATION = re.compile(r"(-?)([0-9]{1,18})(?:\.([0-9]{1,9}))?s")
# Map keys may follow the first name, in backquotes if they contain separators (AIP-161).
MASK_PATH: Final = re.compile(r"(?:[A-Za-z][A-Za-z0-9]*|\*)(?:\.(?:[A-Za-z0-9-]+|`[^`,_]+`|\*))*")
MASK_PATH_OF_TEXT: Final = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]*|\*)(?:\.(?:[A-Za-z0-9_-]+|`[^`,]+`|\*))*")
_UPPER = re.compile(r"[A-Z]")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)


class MaskPath(str):
    """A path of a mask in snake_case. `written` is the client's own text, in which the keys of maps are as they are."""

    __slots__ = ("written",)
    written: str

    @classmethod
    def of(cls, written: str) -> Self:
        """Returns the path that a client wrote in lowerCamelCase or snake_case."""
        path = cls(to_snake_case(written))
        path.written = written
        return path


def parse_timestamp(value: object) -> tuple[int, int]:
    """Returns seconds since 1970 and nanoseconds. Raises InvalidValue."""
    found = _TIMESTAMP.fullmatch(value) if type(value) is str else None
    if found is None:
        raise InvalidValue('must be a time such as "2026-01-31T09:30:00Z" (RFC 3339)')
    try:
        moment = datetime.fromisoformat(found[1] + ("+00:00" if found[3] == "Z" else found[3]))
    except ValueError:
        raise InvalidValue("is not an existing date and time") from None
    since_epoch = moment - _EPOCH
    seconds = since_epoch.days * 86_400 + since_epoch.seconds
    if moment < _FIRST or seconds > TIMESTAMP_SECONDS_MAX:
        raise InvalidValue("must be from 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999999Z", "OUT_OF_RANGE")
    return seconds, _nanos(found[2])


def parse_duration(value: object) -> tuple[int, int]:
    """Returns seconds and nanoseconds, of the same sign. Raises InvalidValue."""
    found = _DURATION.fullmatch(value) if type(value) is str else None
    if found is None:
        raise InvalidValue('must be a number of seconds followed by s, such as "1.5s"')
    sign = -1 if found[1] else 1
    seconds = int(found[2])
    if seconds > DURATION_SECONDS_MAX:
        raise InvalidValue(f"must be from -{DURATION_SECONDS_MAX}s to {DURATION_SECONDS_MAX}s", "OUT_OF_RANGE")
    return sign * seconds, sign * _nanos(found[3])


def _nanos(fraction: str | None) -> int:
    return int(fraction.ljust(9, "0")) if fraction else 0


def parse_field_mask(value: object) -> list[str]:
    """Returns the paths of a mask in JSON, which has them in lowerCamelCase. Raises InvalidValue."""
    return _paths(_text(value), MASK_PATH, "must be comma-separated field paths in lowerCamelCase")


def parse_resource_mask(value: object) -> list[str]:
    """Returns the paths of the mask of an update or a read in JSON, which may also be in snake_case, because they are
    looked up in the resource, and the keys of its maps may have underscores. Raises InvalidValue.
    """
    return parse_field_mask_text(_text(value))


def parse_field_mask_text(text: str) -> list[str]:
    """Returns the paths of a mask in a query, which may also have them in snake_case. Raises InvalidValue."""
    return _paths(text, MASK_PATH_OF_TEXT, "must be comma-separated field paths")


def _text(value: object) -> str:
    if type(value) is not str:
        raise InvalidValue(f"must be a string of comma-separated field paths, not {json_type_name(value)}")
    return value


def _paths(text: str, path: re.Pattern[str], otherwise: str) -> list[str]:
    if not text:
        return []
    paths = text.split(",")
    if not all(map(path.fullmatch, paths)):
        raise InvalidValue(otherwise)
    return list(map(MaskPath.of, paths))


def to_snake_case(path: str) -> str:
    """Converts the path of a mask from lowerCamelCase to snake_case."""
    return _UPPER.sub(lambda found: "_" + found[0].lower(), path)
