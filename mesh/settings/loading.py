"""Reading of settings from the environment."""

import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from mesh.settings.groups import MeshSettings
from mesh.settings.messages import messages

EXIT_INVALID_SETTINGS = 2

S = TypeVar("S", bound=MeshSettings)


class InvalidSettings(ValueError):
    """Settings that can't be used; the message has a line for each."""


def load(settings_type: type[S], options: Mapping[str, str] = MappingProxyType({}), **given: Any) -> S:
    """Reads the settings as read() does. If any are invalid, prints all of them on standard error, and exits with
    status 2.
    """
    try:
        return read(settings_type, options, **given)
    except InvalidSettings as error:
        print(f"Invalid settings:\n{error}", file=sys.stderr)
        sys.exit(EXIT_INVALID_SETTINGS)


def read(settings_type: type[S], options: Mapping[str, str] = MappingProxyType({}), **given: Any) -> S:
    """Reads the settings from the environment; those in `given` take precedence. `options` are the options on the
    command line, by the name of their setting. Raises InvalidSettings with a line for each invalid one: its name, what
    it must be, and an example. Values are not repeated, because they may be secret.
    """
    try:
        return settings_type(**given)
    except ValidationError as error:
        raise InvalidSettings("\n".join(messages(settings_type, error, options))) from None
