"""The pinned requirements."""

import ast
import functools
import importlib.metadata
import itertools
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SHIPPED, UP, DEV = "requirements.txt", "requirements-up.txt", "requirements-dev.txt"
TOOLCHAINS, INSTALLERS = "requirements-toolchains.txt", "requirements-installers.txt"
FILES = (SHIPPED, UP, DEV, TOOLCHAINS, INSTALLERS)
FEW = {TOOLCHAINS: 3, INSTALLERS: 2}
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = (
    {"sys_platform": "linux", "platform_system": "Linux"},
    {"sys_platform": "darwin", "platform_system": "Darwin"},
)
MACHINES = ("x86_64", "aarch64", "arm64")


@functools.cache
def pins(file: str) -> dict[str, Requirement]:
    """Returns the pinned versions of the file by package."""
    lines = re.findall(r"^([a-z0-9][^\s\\]*==[^\s\\;]+)", (ROOT / file).read_text(), re.MULTILINE)
    return {canonicalize_name(pin.name): pin for pin in map(Requirement, lines)}


def wanted_extras() -> dict[str, set[str]]:
    """Returns the extras that packages request of other packages, by the name of the other."""
    extras: dict[str, set[str]] = {}
    for name in pins(DEV) | pins(TOOLCHAINS):
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or "extra" not in str(requirement.marker):
                extras.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    extras.setdefault("psycopg", set()).add("binary")
    return extras


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_missing_on_any_supported_machine(file: str) -> None:
    """The dependencies of each pinned package, on Linux and macOS and on all supported Pythons, are pinned too."""
    pinned, extras = pins(file), wanted_extras()
    missing = set()
    for name, python, platform, machine in itertools.product(pinned, PYTHONS, PLATFORMS, MACHINES):
        environment = {
            **platform,
            "python_version": python,
            "python_full_version": f"{python}.0",
            "platform_machine": machine,
        }
        for text, extra in itertools.product(importlib.metadata.requires(name) or [], {"", *extras.get(name, ())}):
            requirement = Requirement(text)
            needed = requirement.marker is None or requirement.marker.evaluate({**environment, "extra": extra})
            if needed and canonicalize_name(requirement.name) not in pinned:
                missing.add(f"{name} on Python {python}, {platform['sys_platform']} {machine}: {text}")
    assert not missing


@pytest.mark.parametrize("file", FILES)
def test_every_pin_has_hashes_and_no_place(file: str) -> None:
    """Each package is pinned exactly and by hash; no registry's address and no path of one machine is in the file."""
    text = (ROOT / file).read_text()
    assert len(pins(file)) == FEW[file] if file in FEW else len(pins(file)) > 20
    for block in re.split(r"\n(?=\S)", text):
        if not block.startswith("#") and block.strip():
            assert "--hash=sha256:" in block, block
    assert not re.search(r"://|--(extra-)?index-url|--find-links|\s/\w", text)


def test_a_larger_file_pins_the_same_versions() -> None:
    """A container runs the versions that the tests ran with, and `make test` changes nothing of what `make up` runs."""
    for smaller, larger in ((SHIPPED, UP), (UP, DEV), (INSTALLERS, DEV)):
        assert versions(smaller).items() < versions(larger).items()


def test_the_toolchains_are_apart() -> None:
    """The toolchains are installed at the same time as the rest, so that no package may be in both files."""
    assert not pins(TOOLCHAINS).keys() & pins(DEV).keys()


def versions(file: str) -> dict[str, str]:
    """Returns what the file pins, as text."""
    return {name: str(pin.specifier) for name, pin in pins(file).items()}


@pytest.mark.parametrize(
    ("file", "folders"), [(SHIPPED, ("mesh", "edge", "services")), (UP, ("mesh", "local", "demo"))]
)
def test_what_is_imported_is_installed(file: str, folders: tuple[str, ...]) -> None:
    """A process imports nothing that only the tests' packages bring; mesh/codegen runs in a checkout only."""
    owners = importlib.metadata.packages_distributions()
    missing = {
        f"{path.relative_to(ROOT)}: {module}"
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        for module in imports(path)
        if (file == UP or "codegen" not in path.parts)
        if module in owners and not {canonicalize_name(owner) for owner in owners[module]} & pins(file).keys()
    }
    assert not missing


@functools.cache
def imports(path: Path) -> set[str]:
    """Returns the top-level names of the modules that a file imports absolutely."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_the_declared_dependencies_are_pinned() -> None:
    """A declared dependency has been pinned since, in a version that its declaration allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    toolchains, installers = (
        re.findall(r"^[a-z].*$", (ROOT / file).with_suffix(".in").read_text(), re.MULTILINE)
        for file in (TOOLCHAINS, INSTALLERS)
    )
    declarations = (project["dependencies"], extras["up"], extras["dev"], toolchains, installers)
    for file, declared in zip(FILES, declarations, strict=True):
        pinned = pins(file)
        for requirement in map(Requirement, declared):
            version = str(pinned[canonicalize_name(requirement.name)].specifier).removeprefix("==")
            assert version in requirement.specifier, f"{requirement}: run `make requirements`"
