"""docs/settings.md: it has what the settings classes have."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from local.mail import MailSettings
from local.settings import HomeSettings, PortsSettings
from mesh.events.nats.provision import ProvisionSettings
from mesh.settings import (
    ClientSettings,
    DatabaseSettings,
    EventSettings,
    MeshSettings,
    ProcessSettings,
    ServiceSettings,
    variables,
)
from services.identity.settings import IdentitySettings
from services.notifications.settings import NotificationsSettings
from services.orders.settings import OrdersSettings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/settings.md").read_text()
SECTIONS: dict[str, tuple[type[MeshSettings], ...]] = {
    "Every process": (ProcessSettings,),
    "Every service": (ServiceSettings,),
    "Services with a database": (DatabaseSettings,),
    "Services with events": (EventSettings,),
    "Services that call others as themselves": (ClientSettings,),
    "identity": (IdentitySettings,),
    "orders": (OrdersSettings,),
    "notifications": (NotificationsSettings,),
    "The provisioner of the broker": (ProvisionSettings,),
    "The mail server of trials": (MailSettings,),
    "The local mesh": (HomeSettings, PortsSettings),
}


def row(settings_type: type[MeshSettings], name: str) -> str:
    """Returns the line of the table for a setting."""
    field = settings_type.model_fields[name]
    secret = " (secret)" if "Secret" in repr(field.annotation) else ""
    return f"| `{variables(settings_type, name)[0]}` | {_default(field)} | {field.description}{secret} |"


def _own(settings_type: type[MeshSettings]) -> list[str]:
    """Returns the settings that the class itself declares."""
    return [name for name in settings_type.model_fields if name in vars(settings_type).get("__annotations__", {})]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: Any = field.get_default(call_default_factory=True)
    if default in (None, "", {}) or isinstance(default, SecretStr):
        return ""
    shown = (
        str(default).lower() if isinstance(default, bool) else f"{default:g}" if isinstance(default, float) else default
    )
    return f"`{shown}`"


def _rows(title: str) -> list[str]:
    """Returns the lines of the table in the section of this title."""
    section = TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize("title", SECTIONS)
def test_each_setting_is_documented_as_it_is_declared(title: str) -> None:
    """Variables, defaults and descriptions are those of the class, one line each."""
    types = SECTIONS[title]
    assert _rows(title) == [row(each, name) for each in types for name in _own(each)]


def test_every_section_is_compared() -> None:
    """No section of the page describes settings that no class declares."""
    with_table = [part.partition("\n")[0] for part in TEXT.split("\n## ")[1:] if "\n| `" in part]
    assert with_table == list(SECTIONS)


def test_every_settings_class_is_in_a_section() -> None:
    """A class that is added is documented too, unless it adds nothing; the edge lists its own settings by --help."""
    for path in ROOT.glob("services/*/settings.py"):
        importlib.import_module(f"services.{path.parent.name}.settings")
    documented = {each for types in SECTIONS.values() for each in types}
    declared = {each for each in _subclasses(MeshSettings) if each.__module__.endswith(".settings") and _own(each)}
    assert {each for each in declared if not each.__module__.startswith(("edge.", "tests."))} == {
        each for each in documented if each.__module__.endswith(".settings")
    }


def _subclasses(base: type[MeshSettings]) -> set[type[MeshSettings]]:
    """Returns the classes that modules declare, and not those made while the program runs."""
    found = {below for each in base.__subclasses__() for below in (each, *_subclasses(each))}
    return {each for each in found if getattr(sys.modules[each.__module__], each.__name__, None) is each}
