"""The page docs/settings.md: every setting of every process, from the classes that declare them.

python tools/settings_page.py [the folder to write below]
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeGuard

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from edge.settings import EdgeSettings, option_of
from local.declarations.checkout import read_services
from local.mail import MailSettings
from local.settings import BrokerSettings, HomeSettings, PortsSettings, ReloadSettings
from mesh.events.provision import ProvisionSettings
from mesh.settings import (
    ClientSettings,
    DatabaseSettings,
    EventSettings,
    MeshSettings,
    ProcessSettings,
    ServiceSettings,
    variables,
)

ROOT: Final = Path(__file__).resolve().parent.parent

Sections = Mapping[str, tuple[type[MeshSettings], ...]]
"""The classes of each section, by its title."""

_HEAD: Final = """\
# Settings

<!-- `make generate` writes this page from the settings classes. -->

Every process reads its settings from environment variables. If one is missing or invalid, the
process stops at its start with exit status 2 and a line for each such variable: its name, what its
value must be, and an example. Values are never printed. Lists are separated by spaces or commas.
Variables that end in `_S` count seconds, those that end in `_BYTES_MAX` bytes.
"""

_INTRODUCTIONS: Final = {
    "Every process": "The edge has these too, with its own default of `OPS_PORT`, and `HOST` for `LISTEN_HOST`.",
    "The edge": "An option of `python -m edge` has precedence over its variable.",
    "The local mesh": "`make up` also takes a variable for each port: `make help` names them.",
}


def main() -> None:
    """Writes the page below the folder that the argument names, by default the root of the project."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    (target / "docs").mkdir(parents=True, exist_ok=True)
    (target / "docs" / "settings.md").write_text(page(sections()))


def sections() -> Sections:
    """Returns the sections of the page, including one for each service that has its own settings."""
    return {
        "Every process": (ProcessSettings,),
        "The edge": (EdgeSettings,),
        "Every service": (ServiceSettings,),
        "Services with a database": (DatabaseSettings,),
        "Services with events": (EventSettings,),
        "Services that call others as themselves": (ClientSettings,),
        **dict(_of_services()),
        "The provisioner of the broker": (ProvisionSettings,),
        "The mail server of trials": (MailSettings,),
        "The local mesh": (HomeSettings, PortsSettings, BrokerSettings, ReloadSettings),
    }


def page(documented: Sections) -> str:
    """Returns the text of docs/settings.md."""
    return "\n".join([_HEAD, *(_section(title, types) for title, types in documented.items())])


def row(settings_type: type[MeshSettings], name: str) -> str:
    """Returns the row of the table for a setting."""
    field = settings_type.model_fields[name]
    secret = " (secret)" if "Secret" in repr(field.annotation) else ""
    names = f"`{variables(settings_type, name)[0]}`"
    if settings_type is EdgeSettings and (option := option_of(name)):
        names += f" or `{option}`"
    return f"| {names} | {_default(field)} | {field.description}{secret} |"


def own(settings_type: type[MeshSettings]) -> list[str]:
    """Returns the settings that the class itself declares."""
    return [name for name in settings_type.model_fields if name in vars(settings_type).get("__annotations__", {})]


def _section(title: str, types: tuple[type[MeshSettings], ...]) -> str:
    introduction = f"{_INTRODUCTIONS[title]}\n\n" if title in _INTRODUCTIONS else ""
    rows = "\n".join(row(each, name) for each in types for name in own(each))
    return f"## {title}\n\n{introduction}| Variable | Default | Meaning |\n|---|---|---|\n{rows}\n"


def _of_services() -> Iterator[tuple[str, tuple[type[MeshSettings], ...]]]:
    """Yields the name and the settings classes of each service that declares settings."""
    for service in read_services(ROOT):
        if not (ROOT / "services" / service.name / "settings.py").is_file():
            continue
        module = importlib.import_module(f"services.{service.name}.settings")
        if types := tuple(each for each in vars(module).values() if _is_declared_in(module, each) and own(each)):
            yield service.name, types


def _is_declared_in(module: ModuleType, value: object) -> TypeGuard[type[MeshSettings]]:
    return isinstance(value, type) and issubclass(value, MeshSettings) and value.__module__ == module.__name__


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default: Any = field.get_default(call_default_factory=True)
    if default in (None, "", {}, []) or isinstance(default, SecretStr):
        return ""
    return f"`{_shown(default)}`"


def _shown(default: Any) -> str:
    """Returns a default as the text of its variable."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return str(int(default)) if default.is_integer() else str(default)
    return " ".join(default) if isinstance(default, list) else str(default)


if __name__ == "__main__":
    main()
