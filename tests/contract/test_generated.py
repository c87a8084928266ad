"""What is generated is what contracts and declarations say, today."""

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
    others = {name for name in contents(tmp_path) if not name.startswith("gen/")}
    assert others == {
        *(f"charts/meshwright/{name}.yaml" for name in ("contracts", "events", "services")),
        "charts/meshwright/files/nats-users.conf",
        "charts/meshwright/files/rabbitmq-definitions.json",
        "compose.rabbitmq.yaml",
        "compose.yaml",
        "docs/architecture.md",
        "docs/errors.md",
        "docs/settings.md",
    }
    stale = sorted(name for name in others if (tmp_path / name).read_bytes() != (ROOT / name).read_bytes())
    assert not stale, f"run `make generate` and commit {', '.join(stale)}"


def test_no_third_party_text_is_generated() -> None:
    """Of other people's .proto files only the structure is generated, not the comments."""
    for path in (ROOT / "gen" / "googleapis").rglob("*.py"):
        assert "Licensed under" not in path.read_text()
        assert "Example" not in path.read_text()
