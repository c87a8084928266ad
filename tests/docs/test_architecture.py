"""The description and the picture of the architecture."""

import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

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
