"""The order of lines of several logs."""

from datetime import UTC, datetime

import pytest

from local.timestamps import in_order, time_of


@pytest.mark.parametrize(
    ("line", "microsecond"),
    [
        (b"2026-11-28T09:52:57.928440Z [info     ] request", 928440),
        (b"\x1b[2m2026-11-28T09:52:57.928440Z\x1b[0m [info] request", 928440),
        (b"2026-11-28 09:52:57.928 UTC [14] LOG:  ready", 928000),
        (b"[14] 2026/11/28 09:52:57.928440 [INF] Server is ready", 928440),
        (b"2026-11-28T09:52:57Z", 0),
    ],
)
def test_the_time_of_a_line_is_found(line: bytes, microsecond: int) -> None:
    """Our processes, PostgreSQL and NATS each write it in their own form."""
    assert time_of(line) == datetime(2026, 11, 28, 9, 52, 57, microsecond, UTC)


@pytest.mark.parametrize(
    "line", [b"", b"Traceback (most recent call last):", b"2026-13-40T09:52:57Z", b"at 2026-11-28"]
)
def test_other_lines_have_no_time(line: bytes) -> None:
    """A line that does not begin with a valid time has none."""
    assert time_of(line) is None


def test_lines_are_in_order_of_time() -> None:
    """Lines of several logs are merged by their times; a traceback stays together, after its own line."""
    orders = [
        b"rest of an older line",
        b"2026-11-28T09:00:01Z one",
        b"Traceback:",
        b"  line",
        b"2026-11-28T09:00:04Z four",
    ]
    postgres = [b"2026-11-28 09:00:02.000 UTC [1] two", b"2026-11-28 09:00:03.000 UTC [1] three"]
    merged = in_order([("postgres", postgres), ("orders", orders)])
    assert merged == [
        *(("orders", line) for line in orders[:4]),
        *(("postgres", line) for line in postgres),
        ("orders", orders[4]),
    ]
