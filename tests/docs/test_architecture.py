"""The description and the picture of the architecture."""

import re
import tomllib
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "architecture.md"
PICTURES: Final = [ROOT / "docs" / f"architecture-{scheme}.svg" for scheme in ("light", "dark")]
STYLE: Final = re.compile(r"<style>.*?</style>", re.DOTALL)


def test_every_module_that_the_page_names_exists() -> None:
    """Modules are named from the root, those of the edge from its folder; files of a service are without one."""
    named = re.findall(r"`([\w/]+/\w+\.py)`", PAGE.read_text())
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).is_file() and not (ROOT / "edge" / name).is_file()] == []


def test_the_pictures_differ_in_colours_only() -> None:
    """The light and the dark picture show the same, and are well-formed."""
    texts = [path.read_text() for path in PICTURES]
    for text in texts:
        ElementTree.fromstring(text)
    light, dark = texts
    assert STYLE.sub("", light) == STYLE.sub("", dark)
    assert re.sub(r"#[0-9a-f]{6}", "", light) == re.sub(r"#[0-9a-f]{6}", "", dark)


@pytest.mark.parametrize(("package", "heading"), [("edge", "## The edge"), ("mesh", "## The mesh")])
def test_the_tables_of_layers_are_complete(package: str, heading: str) -> None:
    """The first column of each table names the layers that import-linter enforces, and no others."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract.get("containers") == [package])
    layers = {layer for row in rows for layer in row.split(" | ")} - {"__main__"}
    section = PAGE.read_text().partition(f"\n{heading}\n")[2].partition("\n## ")[0]
    columns = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    assert {name for column in columns for name in re.findall(r"`(\w+)`", column)} == layers
