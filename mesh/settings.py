"""Settings of a process, read from environment variables. A wrong or missing one stops the process with a sentence
that names it.
"""

import sys
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

S = TypeVar("S", bound=BaseSettings)

EXIT_WRONG_SETTINGS = 2


def _host_and_port(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not (separator and host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError("must be host:port with a port from 1 to 65535")
    return value


def _url_of(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise ValueError(f"must be a URL that starts with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return value

    return AfterValidator(check)


Address = Annotated[str, AfterValidator(_host_and_port), Field(examples=["catalog:9000"])]
"""Where a workload answers gRPC: host:port."""

HttpUrl = Annotated[str, _url_of("http", "https")]
Port = Annotated[int, Field(ge=0, le=65535)]


class ProcessSettings(BaseSettings):
    """What every process needs."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    listen_host: str = Field("127.0.0.1", min_length=1, examples=["0.0.0.0"])
    ops_port: Port = Field(9090, examples=[9090])
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", examples=["info"])
    log_format: Literal["auto", "json", "text"] = Field("auto", examples=["json"])
    shutdown_grace_s: float = Field(10.0, ge=0, le=300, examples=[10])
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(None, examples=["http://collector:4317"])


class ServiceSettings(ProcessSettings):
    """What a process that serves gRPC needs: where to listen, and whose tokens to believe."""

    grpc_port: Port = Field(9000, examples=[9000])
    jwks_url: HttpUrl = Field(examples=["http://edge:8080/.well-known/jwks.json"])
    token_issuer: str = Field(min_length=1, examples=["https://shop.example.com"])
    token_audience: str = Field("meshwright", min_length=1, examples=["meshwright"])


class ClientSettings(BaseSettings):
    """What a process needs to call others as itself: OAuth 2.0 client credentials."""

    token_url: HttpUrl = Field(examples=["http://edge:8080/v1/oauth2/token"])
    client_id: str = Field(min_length=1, examples=["notifications"])
    client_secret: SecretStr = Field(
        min_length=16, examples=["the secret that SERVICE_CLIENTS of identity holds for this client"]
    )


class DatabaseSettings(BaseSettings):
    """What a process with a database needs."""

    database_url: Annotated[str, _url_of("postgresql", "postgres")] = Field(
        examples=["postgresql://orders:secret@postgres:5432/orders"]
    )
    database_pool_size: int = Field(5, ge=1, le=100, examples=[5])
    database_statement_timeout_s: float = Field(5.0, gt=0, le=300, examples=[5])


class EventSettings(BaseSettings):
    """What a process that publishes or consumes events needs."""

    nats_url: Annotated[str, _url_of("nats", "tls")] = Field(examples=["nats://nats:4222"])


def load(settings_type: type[S]) -> S:
    """Reads the settings from the environment; if any is wrong, says so on standard error, every one of them, and
    exits with status 2.
    """
    try:
        return settings_type()
    except ValidationError as error:
        print(explain(settings_type, error), file=sys.stderr)
        sys.exit(EXIT_WRONG_SETTINGS)


def explain(settings_type: type[BaseSettings], error: ValidationError) -> str:
    """A line for each wrong variable: its name, what is wrong with its value, and an example. Values are not repeated:
    they may be secret.
    """
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        field = str(problem["loc"][0]) if problem["loc"] else "settings"
        what = "is not set" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
        lines.append(f"{field.upper()}: {what}.{_example(settings_type, field)}")
    return "\n".join(["Wrong settings:", *sorted(lines)])


def _example(settings_type: type[BaseSettings], field: str) -> str:
    info: Any = settings_type.model_fields.get(field)
    return f" Example: {field.upper()}={info.examples[0]}" if info is not None and info.examples else ""
