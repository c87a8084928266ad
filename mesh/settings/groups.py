"""The settings that processes share, by what a process does: serve gRPC, call others, use a database, use events."""

from typing import Final, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from mesh.settings.values import BrokerUrl, HttpUrl, HttpUrlOrEmpty, Port, PostgresUrl, Text

FORMERLY: Final = "formerly"
"""The key of a former name of a setting, which the error for a missing one mentions if that is set."""


class MeshSettings(BaseSettings):
    """The base class of all settings. They are immutable, and no error repeats a value, which may be secret."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class ProcessSettings(MeshSettings):
    """The settings of every process."""

    listen_host: Text = Field("127.0.0.1", description="the address to listen on", examples=["0.0.0.0"])
    ops_port: Port = Field(9090, description="the port of /livez, /readyz and /metrics", examples=[9090])
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the lowest level that is logged", examples=["info"]
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="json, text, or auto: text on a terminal, json elsewhere", examples=["json"]
    )
    shutdown_grace_s: float = Field(
        10.0, ge=0, le=300, description="how long calls may take to finish when the process stops", examples=[10]
    )
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        None, description="the OpenTelemetry collector that traces go to", examples=["http://collector:4317"]
    )


class ServiceSettings(ProcessSettings):
    """The settings of a process that serves gRPC: its port, and the issuer whose tokens it accepts."""

    grpc_port: Port = Field(9000, description="the port of the gRPC server", examples=[9000])
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
        description="the list of access tokens that were revoked; without it each is valid until it expires",
        examples=["http://edge:8080/v1/oauth2/endedTokens"],
    )
    token_issuer: Text = Field(description="the issuer that tokens must name", examples=["https://shop.example.com"])
    token_audience: Text = Field(
        "meshwright", description="the audience that tokens must name", examples=["meshwright"]
    )


class ClientSettings(MeshSettings):
    """The settings of a process that calls others as itself, by OAuth 2.0 client credentials."""

    token_url: HttpUrl = Field(
        description="the endpoint that issues access tokens to the process itself",
        examples=["http://edge:8080/v1/oauth2/token"],
    )
    client_id: Text = Field(description="the client id of the process at that endpoint", examples=["notifications"])
    client_secret: SecretStr = Field(
        min_length=16,
        description="the secret of that client id",
        examples=["the secret that SERVICE_CLIENTS of identity holds for this client"],
    )


class DatabaseSettings(MeshSettings):
    """The settings of a process with a database."""

    database_url: PostgresUrl = Field(
        description="the PostgreSQL database", examples=["postgresql://orders:secret@postgres:5432/orders"]
    )
    database_pool_size: int = Field(
        5, ge=1, le=100, description="the most connections to the database at the same time", examples=[5]
    )
    database_statement_timeout_s: float = Field(
        4.0, ge=0.001, le=300, description="how long a statement may take", examples=[4]
    )


class EventSettings(MeshSettings):
    """The settings of a process that publishes or consumes events."""

    broker_url: BrokerUrl = Field(
        description="the broker, NATS or RabbitMQ by the scheme, with the process's own user",
        examples=["nats://orders:secret@nats:4222"],
        json_schema_extra={FORMERLY: "NATS_URL"},
    )
