"""The table of allowances that several processes share."""

import subprocess
import sys
from pathlib import Path

from edge.call.shared_allowances import PLACES, SharedAllowances

FORKED = """
import os, sys
from pathlib import Path
from edge.call.rate_limit import RateLimiter
from edge.call.shared_allowances import SharedAllowances
from mesh.contract.policy import RateLimit
from mesh.errors import ResourceExhausted

limiter = RateLimiter("m", RateLimit(requests=500, per_s=1e6), SharedAllowances(Path(sys.argv[1])))
for _ in range(4):
    if os.fork() == 0:
        admitted = 0
        for _ in range(400):
            try:
                limiter.admit("caller")
                admitted += 1
            except ResourceExhausted:
                pass
        os.write(1, f"{admitted}\\n".encode())
        os._exit(0)
for _ in range(4):
    os.wait()
"""


def allowances(folder: Path, sets: int = 1) -> SharedAllowances:
    """Returns a table with this number of sets."""
    return SharedAllowances(folder / "lock", sets)


def own_places(table: SharedAllowances, method: str, callers: int, now: float, full_at: float) -> int:
    """Adds callers of a method. Returns how many of them have a place of their own."""
    keys = []
    for number in range(callers):
        key = table.key(method, f"{now} {number}", now)
        table.set(key, full_at)
        keys.append(key)
    return sum(key.name != 0 for key in keys)


def test_four_processes_admit_as_many_calls_as_one_may(tmp_path: Path) -> None:
    """Of 1,600 calls that they count at the same time, exactly the 500 of the limit are admitted."""
    command = [sys.executable, "-c", FORKED, str(tmp_path / "lock")]
    admitted = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    assert len(admitted) == 4
    assert sum(map(int, admitted)) == 500


def test_a_caller_keeps_its_place_in_a_flood(tmp_path: Path) -> None:
    """A flood of new callers changes no count."""
    table = allowances(tmp_path)
    first = table.key("m", "first", 0.0)
    table.set(first, 9.0)
    own_places(table, "m", 500, 0.0, 5.0)
    assert table.key("m", "first", 1.0) == first
    assert table.full_at(first, 1.0) == 9.0


def test_a_flood_of_one_method_leaves_places_to_another(tmp_path: Path) -> None:
    """One method takes half of a set, and another half of what is left."""
    table = allowances(tmp_path)
    assert own_places(table, "flooded", 500, 0.0, 5.0) == PLACES // 2
    assert own_places(table, "another", 500, 0.0, 5.0) == PLACES // 4


def test_callers_without_a_place_share_one_allowance_of_their_method(tmp_path: Path) -> None:
    """It counts beside those of callers that have a place."""
    table = allowances(tmp_path)
    own_places(table, "m", 500, 0.0, 5.0)
    one, other = table.key("m", "one", 1.0), table.key("m", "other", 1.0)
    assert one == other
    assert table.full_at(one, 1.0) == 5.0


def test_a_full_allowance_makes_room(tmp_path: Path) -> None:
    """Its place goes to another caller, whose allowance is full."""
    table = allowances(tmp_path)
    own_places(table, "m", 500, 0.0, 5.0)
    key = table.key("m", "new", 6.0)
    assert key.name
    assert table.full_at(key, 6.0) == 6.0
