"""Times in the messages of callers: google.protobuf.Timestamp, in seconds and billionths."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from protobuf.wkt import Timestamp

from mesh.errors import FieldViolation, invalid_fields

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NANOS_PER_SECOND: Final = 1_000_000_000


def time_of(message: Timestamp, field: str) -> datetime:
    """Returns the time in a message, cut to microseconds. Raises InvalidArgument, with a violation of `field`, if the
    message is not a time: timestamp.proto allows the years 1 to 9999.
    """
    if 0 <= message.nanos < _NANOS_PER_SECOND:
        with suppress(OverflowError):
            return _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
    raise invalid_fields([FieldViolation(field, "must be a time in the years 1 to 9999", "OUT_OF_RANGE")])
