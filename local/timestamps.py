"""The timestamps at the beginning of log lines, by which lines of several logs are sorted."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

# Our processes write 2026-11-28T09:52:57.928440Z, PostgreSQL 2026-11-28 09:52:57.928 UTC, and NATS its process id and
# 2026/11/28 09:52:57.928440. All are in UTC.
_TIME: Final = re.compile(
    rb"^(?:\x1b\[[0-9;]*m|\[\d+\] )*(\d{4})[-/](\d\d)[-/](\d\d)[T ](?P<time>\d\d:\d\d:\d\d(?:\.\d{1,6})?)"
)
_BEGINNING: Final = datetime.min.replace(tzinfo=UTC)


def time_of(line: bytes) -> datetime | None:
    """Returns the timestamp at the beginning of a line; None if there is none."""
    found = _TIME.match(line)
    if found is None:
        return None
    date, time = b"-".join(found.groups()[:3]).decode(), found["time"].decode()
    try:
        return datetime.fromisoformat(f"{date}T{time}+00:00")
    except ValueError:
        return None


def in_order(logs: Iterable[tuple[str, Sequence[bytes]]]) -> list[tuple[str, bytes]]:
    """Returns the lines of several logs, each with the name of its log, in order of time. A line without a time, as in
    a traceback, stays after the line before it.
    """
    timed: list[tuple[datetime, str, bytes]] = []
    for name, lines in logs:
        time = _BEGINNING
        for line in lines:
            time = max(time, time_of(line) or time)
            timed.append((time, name, line))
    return [(name, line) for _, name, line in sorted(timed, key=lambda each: each[0])]
