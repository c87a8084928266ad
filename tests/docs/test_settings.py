"""docs/settings.md: it has what the settings classes have."""

import importlib
import sys
from pathlib import Path

import pytest

from local.declarations.checkout import read_services
from local.mail import MailSettings
from local.settings import HomeSettings, PortsSettings, ReloadSettings
from mesh.events.nats.provision import ProvisionSettings
from mesh.settings import (
    ClientSettings,
    DatabaseSettings,
    EventSettings,
    MeshSettings,
    ProcessSettings,
    ServiceSettings,
)
from tools.generation.settings import own, row, settings_of

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/settings.md").read_text()
SECTIONS: dict[str, tuple[type[MeshSettings], ...]] = {
    "Every process": (ProcessSettings,),
    "Every service": (ServiceSettings,),
    "Services with a database": (DatabaseSettings,),
    "Services with events": (EventSettings,),
    "Services that call others as themselves": (ClientSettings,),
    **{service.name: types for service in read_services(ROOT) if any(map(own, types := settings_of(ROOT, service)))},
    "The provisioner of the broker": (ProvisionSettings,),
    "The mail server of trials": (MailSettings,),
    "The local mesh": (HomeSettings, PortsSettings, ReloadSettings),
}


def _rows(title: str) -> list[str]:
    """Returns the lines of the table in the section of this title."""
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("title", SECTIONS)
def test_each_setting_is_documented_as_it_is_declared(title: str) -> None:
    """Variables, defaults and descriptions are those of the class, one line each."""
    types = SECTIONS[title]
    assert _rows(title) == [row(each, name) for each in types for name in own(each)]


def test_every_section_is_compared() -> None:
    """No section of the page describes settings that no class declares."""
    with_table = [part.partition("\n")[0] for part in TEXT.split("\n## ")[1:] if "\n| `" in part]
    assert with_table == list(SECTIONS)


def test_every_settings_class_is_in_a_section() -> None:
    """A class that is added is documented too, unless it adds nothing; the edge lists its own settings by --help."""
    for path in ROOT.glob("services/*/settings.py"):
        importlib.import_module(f"services.{path.parent.name}.settings")
    documented = {each for types in SECTIONS.values() for each in types}
    declared = {each for each in _subclasses(MeshSettings) if each.__module__.endswith(".settings") and own(each)}
    assert {each for each in declared if not each.__module__.startswith(("edge.", "tests."))} == {
        each for each in documented if each.__module__.endswith(".settings")
    }


def _subclasses(base: type[MeshSettings]) -> set[type[MeshSettings]]:
    """Returns the classes that modules declare, and not those made while the program runs."""
    found = {below for each in base.__subclasses__() for below in (each, *_subclasses(each))}
    return {each for each in found if getattr(sys.modules[each.__module__], each.__name__, None) is each}
