"""Times in the messages of callers."""

from datetime import UTC, datetime

import pytest
from protobuf.wkt import Timestamp

from mesh.errors import InvalidArgument
from mesh.timestamp_message import time_of

YEAR_1 = -62_135_596_800
LAST_SECOND = 253_402_300_799


@pytest.mark.parametrize(
    ("seconds", "nanos", "time"),
    [
        (0, 0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, 500_000_000, datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)),
        (YEAR_1, 0, datetime.min.replace(tzinfo=UTC)),
        (LAST_SECOND, 999_999_999, datetime.max.replace(tzinfo=UTC)),
        (1, 1_999, datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_cut_to_microseconds(seconds: int, nanos: int, time: datetime) -> None:
    """Every Timestamp that is valid by timestamp.proto is a time, also at the ends of its range."""
    assert time_of(Timestamp(seconds=seconds, nanos=nanos), "start_time") == time


@pytest.mark.parametrize(
    ("seconds", "nanos"), [(YEAR_1 - 1, 0), (LAST_SECOND + 1, 0), (2**63 - 1, 0), (0, -1), (0, 1_000_000_000)]
)
def test_other_messages_are_invalid(seconds: int, nanos: int) -> None:
    """The error names the field."""
    with pytest.raises(InvalidArgument) as caught:
        time_of(Timestamp(seconds=seconds, nanos=nanos), "start_time")
    [violation] = caught.value.violations
    assert (violation.field, violation.reason) == ("start_time", "OUT_OF_RANGE")
