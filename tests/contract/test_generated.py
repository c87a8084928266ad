"""Generated code is what the contracts say, today."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def contents(folder: Path) -> dict[str, bytes]:
    """Every generated file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_gen_is_fresh(tmp_path: Path) -> None:
    """Generating again gives what is committed, byte for byte."""
    subprocess.run([sys.executable, ROOT / "tools" / "generate.py", tmp_path], check=True)
    fresh, committed = contents(tmp_path / "gen"), contents(ROOT / "gen")
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    assert not stale, "run `make generate` and commit gen/"
    chart = "charts/meshwright/contracts.yaml"
    assert (tmp_path / chart).read_text() == (ROOT / chart).read_text(), f"run `make generate` and commit {chart}"


def test_no_third_party_text_is_generated() -> None:
    """Of other people's .proto files only the structure is generated, not the comments."""
    for path in (ROOT / "gen" / "googleapis").rglob("*.py"):
        assert "Licensed under" not in path.read_text()
        assert "Example" not in path.read_text()
