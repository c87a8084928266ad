"""`make generate` beside another one, such as that of `make up` after a change of a contract."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools import generate


def test_runs_wait_for_each_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only one of them generates at any time."""
    alone = threading.Lock()

    def generated(target: Path) -> None:
        assert target == tmp_path
        assert alone.acquire(blocking=False), "two runs at once"
        time.sleep(0.05)  # long enough for the others to begin
        alone.release()

    monkeypatch.setattr(generate, "generate", generated)
    monkeypatch.setattr("sys.argv", ["generate.py", str(tmp_path)])
    with ThreadPoolExecutor(4) as pool:
        for run in [pool.submit(generate.main) for _ in range(4)]:
            run.result()


def test_gen_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """No stale file remains, and nothing beside gen/."""
    gen, fresh = tmp_path / "gen", tmp_path / "fresh"
    for name in ("stale.py", "kept.py"):
        fresh.mkdir()
        (fresh / name).touch()
        generate.replace_gen(fresh, gen)
        fresh.rename(tmp_path / name)
    assert [path.name for path in gen.iterdir()] == ["kept.py"]
    assert not list(tmp_path.glob(".gen-*"))


def test_a_failure_to_get_the_files_of_others_is_said_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program that gets them has said why; no traceback follows."""
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "third_party.py").write_text("raise SystemExit('Could not download it.')\n")
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"\A1\Z"):
        generate.generate(tmp_path)
