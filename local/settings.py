"""The settings of the commands behind the Makefile's targets. An empty variable counts as not set."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, create_model
from pydantic_settings import SettingsConfigDict

from local.errors import SetupError
from mesh.settings import InvalidSettings, MeshSettings, read

S = TypeVar("S", bound=MeshSettings)


class HomeSettings(MeshSettings):
    """The place where the local mesh keeps its state."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    mesh_home: Path = Field(Path(".mesh"), description="the folder with data, logs and secrets")


class ReloadSettings(MeshSettings):
    """The switch for restarting processes when their code changes."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    reload: Literal["on", "off"] = Field("on", description="off leaves processes alone when their code changes")


class BrokerSettings(MeshSettings):
    """The broker that carries events."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    broker: Literal["nats", "rabbitmq"] = Field(
        "nats", description="the broker; rabbitmq has to be installed", examples=["rabbitmq"]
    )


class PortsSettings(MeshSettings):
    """The choice of ports that no variable sets."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    ports: Literal["free"] | None = Field(None, description="free picks ports that nobody uses", examples=["free"])


def read_settings(settings_type: type[S]) -> S:
    """Returns the settings in the environment. Raises SetupError if they are invalid."""
    try:
        return read(settings_type)
    except InvalidSettings as error:
        raise SetupError(f"Invalid settings:\n{error}") from error


def ports_settings(defaults: Mapping[str, int]) -> PortsSettings:
    """Returns the settings with a field for each variable that sets a port: its name in lower case, None if not set.
    Raises SetupError if they are invalid.
    """
    fields: dict[str, Any] = {
        variable.lower(): (int | None, Field(None, ge=1, le=65535, examples=[port]))
        for variable, port in defaults.items()
    }
    return read_settings(create_model("ChosenPorts", __base__=PortsSettings, **fields))
