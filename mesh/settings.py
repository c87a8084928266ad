"""Settings of a process: pydantic-settings classes, and the sentences that a wrong environment variable is reported
with. Each setting is the environment variable of its name in upper case.
"""

import re
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

EXIT_WRONG_SETTINGS = 2

PORT_FROM_1 = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"


class WrongSettings(ValueError):
    """Settings that can't be used; the text has a line for each."""


class MeshSettings(BaseSettings):
    """The base class of all settings: they can't be changed, and no error repeats a value, which may be secret."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


S = TypeVar("S", bound=MeshSettings)
T = TypeVar("T", str, SecretStr)


def matching(pattern: str, requirement: str) -> AfterValidator:
    """Returns the validator of a text in which `pattern` must be found; `requirement` continues "NAME: "."""
    compiled = re.compile(pattern)

    def check(value: T) -> T:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if compiled.search(text) is None:
            raise ValueError(requirement)
        return value

    return AfterValidator(check)


Address = Annotated[str, matching(rf"^[^\s]+:{PORT_FROM_1}\Z", "must be host:port with a port from 1 to 65535")]
"""Where a workload answers gRPC: host:port."""

HttpUrl = Annotated[str, matching(r"^https?://[^\s/]", "must be a URL that starts with http:// or https://")]
HttpUrlOrEmpty = Annotated[
    str, matching(r"^(?:https?://[^\s/]|\Z)", "must be a URL that starts with http:// or https://, or empty")
]
NatsUrl = Annotated[SecretStr, matching("^(nats|tls)://", "must be a URL that starts with nats:// or tls://")]
PostgresUrl = Annotated[
    SecretStr, matching("^postgres(ql)?://", "must be a URL that starts with postgresql:// or postgres://")
]
Port = Annotated[int, Field(ge=0, le=65535)]
Text = Annotated[str, Field(min_length=1)]


class ProcessSettings(MeshSettings):
    """What every process needs."""

    listen_host: Text = Field("127.0.0.1", description="the address to listen on", examples=["0.0.0.0"])
    ops_port: Port = Field(9090, description="the port of /livez, /readyz and /metrics", examples=[9090])
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least that is logged", examples=["info"]
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="json, text, or auto: text on a terminal, json elsewhere", examples=["json"]
    )
    shutdown_grace_s: float = Field(
        10.0, ge=0, le=300, description="how long calls may take to end when the process is stopped", examples=[10]
    )
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        None, description="the OpenTelemetry collector that traces go to", examples=["http://collector:4317"]
    )


class ServiceSettings(ProcessSettings):
    """What a process that serves gRPC needs: where to listen, and whose tokens to believe."""

    grpc_port: Port = Field(9000, description="the port of gRPC", examples=[9000])
    service_mesh: bool = Field(
        False,
        description="there is a service mesh such as Linkerd, which retries and breaks circuits",
        examples=["true"],
    )
    jwks_url: HttpUrl = Field(
        description="the keys that verify access tokens", examples=["http://edge:8080/.well-known/jwks.json"]
    )
    ended_tokens_url: HttpUrlOrEmpty = Field(
        "",
        description="the list of access tokens that were revoked; without it each is good until it expires",
        examples=["http://edge:8080/v1/oauth2/endedTokens"],
    )
    token_issuer: Text = Field(description="the issuer that tokens must name", examples=["https://shop.example.com"])
    token_audience: Text = Field(
        "meshwright", description="the audience that tokens must name", examples=["meshwright"]
    )


class ClientSettings(MeshSettings):
    """What a process needs to call others as itself: OAuth 2.0 client credentials."""

    token_url: HttpUrl = Field(
        description="where the process gets tokens of its own", examples=["http://edge:8080/v1/oauth2/token"]
    )
    client_id: Text = Field(description="the name of the process there", examples=["notifications"])
    client_secret: SecretStr = Field(
        min_length=16,
        description="the secret of that name",
        examples=["the secret that SERVICE_CLIENTS of identity holds for this client"],
    )


class DatabaseSettings(MeshSettings):
    """What a process with a database needs."""

    database_url: PostgresUrl = Field(
        description="the PostgreSQL database", examples=["postgresql://orders:secret@postgres:5432/orders"]
    )
    database_pool_size: int = Field(
        5, ge=1, le=100, description="connections to the database at the same time", examples=[5]
    )
    database_statement_timeout_s: float = Field(
        5.0, ge=0.001, le=300, description="how long a statement may take", examples=[5]
    )


class EventSettings(MeshSettings):
    """What a process that publishes or consumes events needs."""

    nats_url: NatsUrl = Field(
        description="the broker, with the process's own user", examples=["nats://orders:secret@nats:4222"]
    )


def load(settings_type: type[S], options: Mapping[str, str] = MappingProxyType({}), **given: Any) -> S:
    """Reads the settings as read() does; if any is wrong, says so on standard error, every one of them, and exits with
    status 2.
    """
    try:
        return read(settings_type, options, **given)
    except WrongSettings as error:
        print(f"Wrong settings:\n{error}", file=sys.stderr)
        sys.exit(EXIT_WRONG_SETTINGS)


def read(settings_type: type[S], options: Mapping[str, str] = MappingProxyType({}), **given: Any) -> S:
    """Returns the settings from the environment; those `given` win. `options` are the settings that have an option on
    the command line too, by name. Raises WrongSettings with a line for each wrong one: its name, what it must be, and
    an example. Values are not repeated: they may be secret.
    """
    try:
        return settings_type(**given)
    except ValidationError as error:
        lines: dict[str, str] = {}
        for problem in error.errors(include_input=False, include_url=False):
            name = _field_name(settings_type, problem)
            lines.setdefault(name, _line(settings_type, name, problem, options.get(name)))
        raise WrongSettings("\n".join(sorted(lines.values()))) from None


def variables(settings_type: type[MeshSettings], name: str) -> list[str]:
    """Returns the environment variables of a setting, the first of which wins."""
    alias = settings_type.model_fields[name].validation_alias
    names = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
    return [str(each).upper() for each in names]


def _field_name(settings_type: type[MeshSettings], problem: ErrorDetails) -> str:
    """Returns the name of the setting that a problem is with; empty for several together."""
    if not problem["loc"]:
        return ""
    place = str(problem["loc"][0])
    return next(n for n in settings_type.model_fields if n == place or place.upper() in variables(settings_type, n))


def _line(settings_type: type[MeshSettings], name: str, problem: ErrorDetails, option: str | None) -> str:
    if not name:
        return f"{_requirement(problem, '', FieldInfo())}."
    field, names = settings_type.model_fields[name], variables(settings_type, name)
    label = f"{option} ({' or '.join(names)})" if option else " or ".join(names)
    example = f" Example: {f'{option} ' if option else f'{names[0]}='}{field.examples[0]}" if field.examples else ""
    return f"{label}: {_requirement(problem, name, field)}.{example}"


_NUMBER_PROBLEMS: Final = ("int_", "float_", "finite_number", "greater_than", "less_than")


def _requirement(problem: ErrorDetails, name: str, field: FieldInfo) -> str:
    """Returns what a setting must be, to continue "NAME: "."""
    kind = problem["type"]
    if kind == "missing":
        return "is not set"
    if kind == "value_error":
        return problem["msg"].removeprefix("Value error, ")
    if kind.startswith(_NUMBER_PROBLEMS):
        return _number(name, field)
    if kind.endswith(("too_short", "too_long")):
        return _length(field)
    if kind == "literal_error":
        return f"must be {problem['ctx']['expected']}".replace("'", "")
    if kind.startswith("bool_"):
        return "must be true or false"
    return problem["msg"].replace("Input should be", "must be")


def _number(name: str, field: FieldInfo) -> str:
    whole = "whole " if int in (field.annotation, *get_args(field.annotation)) else ""
    what = f"a {whole}number{' of seconds' if name.endswith('_s') else ''}"
    match _bounds(field):
        case {"ge": least, "le": most}:
            return f"must be {what} from {least} to {most}"
        case {"gt": limit, "le": most}:
            return f"must be {what} above {limit}, at most {most}"
        case {"ge": least}:
            return f"must be {what}, at least {least}"
    return f"must be {what}"


def _length(field: FieldInfo) -> str:
    match _bounds(field):
        case {"min_length": least, "max_length": most}:
            return f"must have {least} to {most} characters"
        case {"min_length": least} if least > 1:
            return f"must have at least {least} characters"
        case {"max_length": most}:
            return f"must have at most {most} characters"
    return "must not be empty"


def _bounds(field: FieldInfo) -> dict[str, Any]:
    kinds = ("gt", "ge", "le", "min_length", "max_length")
    return {kind: getattr(bound, kind) for bound in field.metadata for kind in kinds if hasattr(bound, kind)}
