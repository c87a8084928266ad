"""The files in which workers keep their metrics."""

import errno
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from edge.workers.metric_file import SIZE_FIRST, MetricFile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems use the library's files")

FILLING = """
import resource, sys
from edge.workers.metric_file import SIZE_FIRST, MetricFile
resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE_FIRST, SIZE_FIRST))
file = MetricFile(sys.argv[1])
for number in range(5000):
    file.write_value(f"key {number}", number, 0.0)
print(file.read_value("key 1"), file.read_value("key 4999"))
"""


def values_in(path: Path) -> dict[str, float]:
    """Returns the values that another worker reads."""
    read = MmapedDict.read_all_values_from_file(path)  # type: ignore[no-untyped-call]
    return {key.rstrip(): value for key, value, _, _ in read}


def test_a_file_grows_and_has_a_successor(tmp_path: Path) -> None:
    """All values are there for readers, and for the process that opens the file next."""
    path = tmp_path / "counter_0.db"
    expected = {f"key {number}": float(number) for number in range(5000)}
    with closing(MetricFile(str(path))) as file:
        for key, value in expected.items():
            file.write_value(key, value, 0.0)
    assert path.stat().st_size > SIZE_FIRST
    assert values_in(path) == expected
    with closing(MetricFile(str(path))) as successor:
        assert successor.read_value("key 4999") == (4999.0, 0.0)


def test_values_without_room_are_left_out(tmp_path: Path) -> None:
    """The others stay, and the process goes on."""
    path = tmp_path / "counter_0.db"
    ran = subprocess.run([sys.executable, "-c", FILLING, path], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.endswith("(1.0, 0.0) (0.0, 0.0)\n")
    values = values_in(path)
    assert 0 < len(values) < 5000
    assert values == {f"key {number}": float(number) for number in range(len(values))}


def test_a_full_disk_is_seldom_asked_for_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call counts: each would ask several times, and all metrics wait for the answer."""
    answers: list[str] = []

    def refuse(*_: int) -> None:
        answers.append("full")
        raise OSError(errno.ENOSPC, "No space left on device")

    with closing(MetricFile(str(tmp_path / "counter_0.db"))) as file:
        monkeypatch.setattr(os, "posix_fallocate", refuse)
        for now in (10.0, 10.9, 11.1):
            monkeypatch.setattr(time, "monotonic", lambda now=now: now)
            for number in range(5000):
                file.write_value(f"key {number}", number, 0.0)
            assert len(answers) == (1 if now < 11 else 2)
        monkeypatch.undo()
        monkeypatch.setattr(time, "monotonic", lambda: 12.2)
        file.write_value("key 4999", 1.0, 0.0)
        assert file.read_value("key 4999") == (1.0, 0.0), "there is room again"


def test_a_file_that_can_not_be_made_stays_in_memory(tmp_path: Path) -> None:
    """As when somebody has removed the folder: the values are kept for the process itself."""
    with closing(MetricFile(str(tmp_path / "missing" / "counter_0.db"))) as file:
        file.write_value("key", 1.0, 0.0)
        assert file.read_value("key") == (1.0, 0.0)
