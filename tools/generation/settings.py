"""The sections of services in docs/settings.md, and the rows of all tables there."""

import importlib
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from local.declarations.service import Service
from mesh.settings import MeshSettings, variables
from tools.generation.tables import between

FILE: Final = Path("docs/settings.md")
BEGIN: Final = "<!-- Settings of services: written by `make generate`. -->\n"
END: Final = "<!-- End of the settings of services. -->\n"


def write_sections(text: str, root: Path, services: Sequence[Service]) -> str:
    """Returns the text of the page with the sections of today. Raises ValueError if the page has no place for them, and
    what the import of a service's settings raises.
    """
    sections = [
        f"## {service.name}\n\n| Variable | Default | Meaning |\n|---|---|---|\n{''.join(rows)}"
        for service in services
        if (rows := [f"{row(each, name)}\n" for each in settings_of(root, service) for name in own(each)])
    ]
    return between(text, BEGIN, END, "\n".join(sections))


def settings_of(root: Path, service: Service) -> tuple[type[MeshSettings], ...]:
    """Returns the classes of settings that a service declares in its settings.py, in their order."""
    if not (root / "services" / service.name / "settings.py").is_file():
        return ()
    module = importlib.import_module(f"services.{service.name}.settings")
    return tuple(
        each
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, MeshSettings) and each.__module__ == module.__name__
    )


def own(settings_type: type[MeshSettings]) -> list[str]:
    """Returns the settings that the class itself declares."""
    return [name for name in settings_type.model_fields if name in vars(settings_type).get("__annotations__", {})]


def row(settings_type: type[MeshSettings], name: str) -> str:
    """Returns the line of the table for a setting."""
    field = settings_type.model_fields[name]
    secret = " (secret)" if "Secret" in repr(field.annotation) else ""
    return f"| `{variables(settings_type, name)[0]}` | {_default(field)} | {field.description}{secret} |"


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
