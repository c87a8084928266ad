"""The client packages, installed as their users install them: the code of their READMEs runs against the mesh."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

import pytest

from tests.system.mesh import PASSWORD, ROOT, Client, Mesh
from tools.clients.__main__ import write
from tools.clients.typescript_package import TOOLS

SITE_PACKAGES: Final = sysconfig.get_path("purelib")
SCRIPTS: Final = Path(sysconfig.get_path("scripts"))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the clients of this checkout."""
    folder = tmp_path_factory.mktemp("clients") / "clients"
    write(folder, "1.2.3")
    return folder


def sample(readme: Path, language: str, mesh: Mesh, client: Client) -> str:
    """Returns the program of a README, with the addresses of a mesh and the account of a client."""
    found = re.search(rf"^```{language}\n(.*?)^```$", readme.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    host, port = mesh.address("orders").split(":")
    changes = {
        "http://localhost:8080": mesh.url,
        '"localhost", 9003': f'"{host}", {port}',
        "ada@example.com": client.email,
        "analytical engine": PASSWORD,
    }
    program = found[1]
    for old, new in changes.items():
        program = program.replace(old, new)
    return program


def run(*command: str | Path, folder: Path) -> str:
    """Returns what a program prints, and fails with it if the program fails."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env = clean | {"PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_package_for_python(mesh: Mesh, customer: Client, packages: Path, tmp_path: Path) -> None:
    """The wheel installs into a fresh environment; the README's program is typed, signs in and lists orders."""
    environment = tmp_path / "venv"
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    # The packages that the wheel needs come from our own environment, so that nothing is downloaded.
    [site] = environment.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(f"{SITE_PACKAGES}\n")
    [wheel] = packages.glob("*.whl")
    assert wheel.name == "meshwright_client-1.2.3-py3-none-any.whl"
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)
    run(*pip, "install", "--no-index", "--quiet", wheel, folder=tmp_path)
    program = tmp_path / "program.py"
    program.write_text(sample(ROOT / "clients" / "python" / "README.md", "python", mesh, customer))
    check = (sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--python-executable={python}")
    run(*check, program, folder=tmp_path)
    assert run(python, program, folder=tmp_path) == "0 orders\n"
    where = run(python, "-c", "import meshwright_client; print(meshwright_client.__file__)", folder=tmp_path)
    assert where.startswith(str(site))


def test_the_package_for_typescript(mesh: Mesh, customer: Client, packages: Path, tmp_path: Path) -> None:
    """npm installs the archive and the folder; the README's program compiles, signs in and lists orders."""
    (tmp_path / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
    npm = (SCRIPTS / "npm", "install", "--offline", "--no-audit", "--no-fund", "--legacy-peer-deps")
    for package in (packages / "typescript", packages / "meshwright-client-1.2.3.tgz"):
        run(*npm, package, folder=tmp_path)
    for name in ("openapi-fetch", "openapi-typescript-helpers"):
        (tmp_path / "node_modules" / name).symlink_to(TOOLS / "node_modules" / name)
    program = sample(packages / "typescript" / "README.md", "ts", mesh, customer)
    (tmp_path / "program.ts").write_text(program)
    options = ("--strict", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable")
    run(SCRIPTS / "node", TOOLS / "node_modules" / ".bin" / "tsc", *options, "program.ts", folder=tmp_path)
    assert run(SCRIPTS / "node", "program.js", folder=tmp_path) == "0 orders\n"


def test_a_wrong_password_is_named(mesh: Mesh, customer: Client, packages: Path, tmp_path: Path) -> None:
    """The client for TypeScript rejects with the error and the description of the token endpoint."""
    program = """
import { Tokens, TokenRefused } from "./index.js";
const tokens = Tokens.byPassword(process.argv[2], process.argv[3], "wrong password");
await tokens.accessToken().catch((error) => console.log(error instanceof TokenRefused, error.message));
"""
    (packages / "typescript" / "program.mjs").write_text(program)
    url = f"{mesh.url}/v1/oauth2/token"
    said = run(SCRIPTS / "node", "program.mjs", url, customer.email, folder=packages / "typescript")
    assert said == "true invalid_grant: The e-mail address or the password is wrong.\n"
