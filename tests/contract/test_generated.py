"""The generated files are up to date with the contracts and declarations."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = "clients/python/meshwright_client"
WRITTEN_BY_HAND = {"__init__.py", "channel.py", "tokens.py"}


def contents(folder: Path) -> dict[str, bytes]:
    """Every generated file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that is generated, made again."""
    folder = tmp_path_factory.mktemp("generated")
    subprocess.run([sys.executable, ROOT / "tools" / "generate.py", folder], check=True)
    return folder


def test_gen_is_fresh(generated: Path) -> None:
    """Generating again writes the committed files, byte for byte."""
    fresh, committed = contents(generated / "gen"), contents(ROOT / "gen")
    stale = sorted(name for name in fresh.keys() | committed.keys() if fresh.get(name) != committed.get(name))
    assert not stale, "run `make generate` and commit gen/"
    others = {name for name in contents(generated) if not name.startswith(("gen/", f"{CLIENTS}/"))}
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
    stale = sorted(name for name in others if (generated / name).read_bytes() != (ROOT / name).read_bytes())
    assert not stale, f"run `make generate` and commit {', '.join(stale)}"


def test_clients_are_fresh(generated: Path) -> None:
    """The modules of the client package are those of the contracts, beside the ones that are written by hand."""
    fresh, committed = contents(generated / CLIENTS), contents(ROOT / CLIENTS)
    assert committed.keys() - fresh.keys() == WRITTEN_BY_HAND
    stale = sorted(name for name in fresh if fresh[name] != committed.get(name))
    assert not stale, f"run `make generate` and commit {CLIENTS}"


def test_no_third_party_text_is_generated() -> None:
    """Generated code has the structure of third parties' .proto files, but not their comments."""
    for path in (ROOT / "gen" / "googleapis").rglob("*.py"):
        assert "Licensed under" not in path.read_text()
        assert "Example" not in path.read_text()
