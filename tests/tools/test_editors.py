"""The settings of editors agree with those of the commands."""

import json
import tomllib
from pathlib import Path
from typing import Any

from local.declarations.ports import OTHERS

ROOT = Path(__file__).parents[2]


def read(path: str) -> dict[str, Any]:
    """Returns a file in JSON."""
    content: dict[str, Any] = json.loads((ROOT / path).read_text())
    return content


def test_editors_find_what_pytest_finds() -> None:
    """The source roots are pytest's, and the interpreter is the one that `make` sets up."""
    settings = read(".vscode/settings.json")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert settings["python.analysis.extraPaths"] == project["tool"]["pytest"]["ini_options"]["pythonpath"]
    assert settings["python.defaultInterpreterPath"] == "${workspaceFolder}/.venv/bin/python"


def test_generated_pages_are_read_only() -> None:
    """The files that editors treat as read-only are those that `make generate` writes."""
    generated = {path for path in ROOT.glob("docs/*.md") if "<!-- `make generate` writes" in path.read_text()}
    read_only = {ROOT / path for path in read(".vscode/settings.json")["files.readonlyInclude"]}
    assert generated == read_only - {ROOT / "gen/**"}


def test_the_container_forwards_the_ports_of_make_up() -> None:
    """The edge and the mail page can be opened from outside of the development container."""
    container = read(".devcontainer/devcontainer.json")
    assert container["forwardPorts"] == [OTHERS["PORT"], OTHERS["MAIL_PAGE_PORT"]]
    assert container["portsAttributes"].keys() == {str(port) for port in container["forwardPorts"]}


def test_the_container_has_the_recommended_extensions() -> None:
    """Both lists of extensions are the same."""
    extensions = read(".devcontainer/devcontainer.json")["customizations"]["vscode"]["extensions"]
    assert extensions == read(".vscode/extensions.json")["recommendations"]
