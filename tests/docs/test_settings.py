"""docs/settings.md: it has what the settings classes have."""

import sys
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr

from edge.settings import EdgeSettings
from mesh.settings import MeshSettings
from tools.settings_page import own, page, row, sections

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/settings.md").read_text()


class SampleSettings(MeshSettings):
    """A setting of each form."""

    needed: str = Field(description="what is needed")
    hidden: SecretStr = Field(SecretStr("x"), description="what nobody sees")
    wait_s: float = Field(2.0, description="the wait")
    short_wait_s: float = Field(0.5, description="the short wait")
    on: bool = Field(False, description="the switch")
    words: list[str] = Field(default_factory=lambda: ["a", "b"], description="the words")
    level: Literal["low"] | None = Field(None, description="the level")


class DerivedSettings(SampleSettings):
    """Settings with one more variable."""

    more: int = Field(1, description="one more")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("needed", "| `NEEDED` | required | what is needed |"),
        ("hidden", "| `HIDDEN` |  | what nobody sees (secret) |"),
        ("wait_s", "| `WAIT_S` | `2` | the wait |"),
        ("short_wait_s", "| `SHORT_WAIT_S` | `0.5` | the short wait |"),
        ("on", "| `ON` | `false` | the switch |"),
        ("words", "| `WORDS` | `a b` | the words |"),
        ("level", "| `LEVEL` |  | the level |"),
    ],
)
def test_a_setting_is_one_line(name: str, expected: str) -> None:
    """The line has the variable, the default as it would be set, and the description; never the default of a secret."""
    assert row(SampleSettings, name) == expected


def test_options_of_the_edge_are_beside_their_variables() -> None:
    """A setting that is an option too has both names, under the variable that wins."""
    assert row(EdgeSettings, "listen_host") == "| `HOST` or `--host` | `127.0.0.1` | the address to listen on |"
    assert row(EdgeSettings, "api_title").startswith("| `API_TITLE` | `API` |")


def test_a_class_documents_its_own_settings() -> None:
    """Inherited settings are in the section of the class that declares them."""
    assert own(DerivedSettings) == ["more"]


def test_the_page_is_fresh() -> None:
    """Writing the page again gives the committed text."""
    assert page(sections()) == TEXT, "run `make generate` and commit docs/settings.md"


def test_every_section_is_on_the_page() -> None:
    """Each class has its section, and each of its settings a line there."""
    for title, types in sections().items():
        section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("| `")]
        assert lines == [row(each, name) for each in types for name in own(each)]
        assert lines


def test_every_settings_class_is_in_a_section() -> None:
    """A class that is added is documented too, unless it adds nothing."""
    documented = {each for types in sections().values() for each in types}
    declared = {each for each in _subclasses(MeshSettings) if each.__module__.endswith(".settings") and own(each)}
    assert {each for each in declared if not each.__module__.startswith("tests.")} == {
        each for each in documented if each.__module__.endswith(".settings")
    }


def _subclasses(base: type[MeshSettings]) -> set[type[MeshSettings]]:
    """Returns the classes that modules declare, and not those made while the program runs."""
    found = {below for each in base.__subclasses__() for below in (each, *_subclasses(each))}
    return {each for each in found if getattr(sys.modules[each.__module__], each.__name__, None) is each}
