"""The architecture's arrows, checked by import-linter; and that the checks can fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter on a tree."""
    environment = os.environ | {"PYTHONPATH": f"{folder}:{folder / 'gen'}", "COLUMNS": "200"}
    command = [str(LINT), "--no-cache", "--no-logo"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_arrows_hold() -> None:
    """Nobody imports what the architecture says they must not know."""
    linted = lint(ROOT)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("edge/app.py", "import services.catalog.domain", "The edge and the services stand on the mesh"),
        ("mesh/server.py", "import edge.router", "The edge and the services stand on the mesh"),
        ("services/orders/domain.py", "import services.catalog.domain", "Services meet at their contracts only"),
        ("edge/router.py", "import meshwright.orders.v1.orders_pb", "The edge and the mesh know no service"),
        ("mesh/rpc.py", "import meshwright.identity.v1.identity_pb", "The edge and the mesh know no service"),
        ("services/orders/domain.py", "import asyncpg", "Domains are free of drivers"),
        ("services/catalog/domain.py", "import mesh.server", "Domains are free of drivers"),
        ("services/catalog/handlers.py", "import asyncpg", "Only storage speaks to the database driver"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, line: str, broken: str) -> None:
    """Each contract is broken on purpose, and named."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("mesh", "services", "edge", "gen"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    linted = lint(tmp_path)
    assert linted.returncode == 1
    assert any(row.startswith(broken) and row.rstrip().endswith("BROKEN") for row in linted.stdout.splitlines())
