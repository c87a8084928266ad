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
    """No package imports one that the architecture forbids it to import."""
    linted = lint(ROOT)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("package", ["edge", "local", "mesh", "services"])
def test_folders_of_modules_are_packages(package: str) -> None:
    """import-linter does not look at others."""
    folders = {path.parent for path in (ROOT / package).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Returns a copy of the packages that the contracts are about."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in ("mesh", "services", "edge", "local", "gen"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_a_package_of_the_edge_outside_of_the_layers_is_found(tree: Path) -> None:
    """A new package has to be given its layer."""
    (tree / "edge" / "other").mkdir()
    (tree / "edge" / "other" / "__init__.py").touch()
    linted = lint(tree)
    assert linted.returncode == 1
    assert "edge.other" in linted.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        (
            "edge/app/edge_app.py",
            "import services.catalog.domain",
            "The edge, the services and the local run stand on the mesh",
        ),
        (
            "mesh/server/server.py",
            "import edge.httprule.router",
            "The edge, the services and the local run stand on the mesh",
        ),
        ("edge/http/errors.py", "import edge.call.rpc", "The edge's packages are layers"),
        ("edge/bind/binder.py", "import edge.sources.folder", "The edge's packages are layers"),
        ("edge/protojson/readers.py", "import edge.httprule.router", "The edge's packages are layers"),
        ("edge/protojson/readers.py", "import uvicorn", "Path templates and ProtoJSON stand alone"),
        ("mesh/process.py", "import local.ports", "The edge, the services and the local run stand on the mesh"),
        ("edge/app/edge_app.py", "import local.ports", "The edge, the services and the local run stand on the mesh"),
        (
            "services/orders/clients.py",
            "import local.ports",
            "The edge, the services and the local run stand on the mesh",
        ),
        ("local/up.py", "import services.orders.domain", "The edge, the services and the local run stand on the mesh"),
        ("local/up.py", "import edge.httprule.router", "The edge, the services and the local run stand on the mesh"),
        (
            "local/up.py",
            "import meshwright.orders.v1.orders_pb",
            "The edge, the mesh and the local run know no service",
        ),
        ("mesh/contract/policy.py", "import mesh.identity", "The mesh's packages are layers"),
        ("mesh/rpc/call.py", "import mesh.database", "The mesh's packages are layers"),
        ("mesh/client/channel.py", "import mesh.process", "The mesh's packages are layers"),
        (
            "mesh/events/relay.py",
            "import mesh.events.nats.jetstream",
            "Outbox, relay and inbox know a broker by its port",
        ),
        ("services/orders/handlers.py", "import nats", "Outbox, relay and inbox know a broker by its port"),
        ("services/orders/domain.py", "import services.catalog.domain", "Services meet at their contracts only"),
        (
            "local/declarations/checkout.py",
            "import meshwright.information.v1.information_pb",
            "The edge, the mesh and the local run know no service",
        ),
        (
            "edge/httprule/router.py",
            "import meshwright.orders.v1.orders_pb",
            "The edge, the mesh and the local run know no service",
        ),
        (
            "mesh/rpc/call.py",
            "import meshwright.identity.v1.identity_pb",
            "The edge, the mesh and the local run know no service",
        ),
        ("services/orders/domain.py", "import asyncpg", "Domains are free of drivers"),
        ("services/catalog/domain/product.py", "import mesh.server", "Domains are free of drivers"),
        ("services/catalog/handlers.py", "import asyncpg", "Only storage speaks to the database driver"),
    ],
)
def test_a_forbidden_import_is_found(tree: Path, file: str, line: str, broken: str) -> None:
    """Each contract is broken on purpose, and named."""
    path = tree / file
    path.write_text(f"{path.read_text()}\n{line}\n")
    linted = lint(tree)
    assert linted.returncode == 1
    assert any(row.startswith(broken) and " BROKEN" in row for row in linted.stdout.splitlines())
