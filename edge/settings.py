"""The settings of the edge, from environment variables and from the command line, which wins."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from edge.headers import check_name
from mesh.policy import DEFAULT_TIMEOUT_S
from mesh.settings import EXIT_WRONG_SETTINGS

ANY_SERVICE = "*"


def _words(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _addresses(value: object) -> object:
    """The address of each service of "pkg.Service=host:port, …"."""
    if not isinstance(value, str):
        return value
    addresses: dict[str, str] = {}
    for entry in value.replace(",", " ").split():
        service, separator, address = entry.partition("=")
        host, colon, port = address.rpartition(":")
        if not (service and separator and host and colon and port.isascii() and port.isdecimal()):
            raise ValueError(f"{entry!r} is not pkg.Service=host:port")
        if not 0 < int(port) < 65536:
            raise ValueError(f"{entry!r} has no port from 1 to 65535")
        if addresses.setdefault(service, address) != address:
            raise ValueError(f"{service} has two addresses")
    return addresses


def _http_url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must be a URL that starts with http:// or https://")
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]
Port = Annotated[int, Field(ge=0, le=65535)]
Words = Annotated[list[str], NoDecode, BeforeValidator(_words)]
HeaderNames = Annotated[Words, AfterValidator(lambda names: [check_name(name) for name in names])]
Addresses = Annotated[dict[str, str], NoDecode, BeforeValidator(_addresses)]


class EdgeSettings(BaseSettings):
    """What the edge needs. Limits that end in _bytes_max count bytes, those that end in _s seconds."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    contracts: Path = Field(description="the descriptor image", examples=["gen/contracts.binpb"])
    upstreams: Addresses = Field(
        description="where each service answers gRPC; * is every other one",
        examples=["pkg.Service=localhost:9000,*=localhost:9001"],
    )
    jwks_url: HttpUrl | None = Field(
        None,
        description="the keys that verify access tokens; without it tokens are not checked but passed on",
        examples=["http://localhost:8080/.well-known/jwks.json"],
    )
    token_issuer: str = Field("", description="the issuer of the tokens", examples=["https://shop.example.com"])
    token_audience: str = Field("meshwright", min_length=1, description="the audience of the tokens")
    listen_host: str = Field(
        "127.0.0.1",
        min_length=1,
        validation_alias=AliasChoices("host", "listen_host"),
        description="the address to listen on",
        examples=["0.0.0.0"],
    )
    port: Port = Field(8080, description="the port to listen on", examples=[8080])
    ops_port: Port = Field(
        0, description="another port for /livez, /readyz and /metrics; 0 leaves them on PORT", examples=[9090]
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is logged")
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="json, text, or auto: text on a terminal, json elsewhere"
    )
    shutdown_grace_s: float = Field(10.0, ge=0, le=300, description="for calls to end when the edge is stopped")
    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        None, description="the OpenTelemetry collector that traces go to", examples=["http://collector:4317"]
    )
    api_title: str = Field("API", min_length=1, description="the title of the documentation")

    cors_origins: Words = Field(
        default_factory=list,
        description="origins whose scripts may call; * is any",
        examples=["https://app.example.com"],
    )
    cors_max_age_s: int = Field(600, ge=0, le=86_400, description="how long a browser remembers a preflight")
    request_headers: HeaderNames = Field(
        default_factory=lambda: ["accept-language", "traceparent", "tracestate"],
        description="headers of requests that services see as metadata",
    )
    response_headers: HeaderNames = Field(
        default_factory=list, description="metadata of responses that clients see as headers"
    )
    trusted_proxies: Words = Field(
        default_factory=list, description="addresses whose X-Forwarded-For names the client", examples=["10.0.0.0/8"]
    )

    call_timeout_s: float = Field(
        DEFAULT_TIMEOUT_S, gt=0, le=3600, description="for methods whose contract names no timeout"
    )
    url_bytes_max: int = Field(8192, ge=64, le=65_536, description="the longest URL")
    head_bytes_max: int = Field(32_768, ge=1024, le=1_048_576, description="the largest request line and headers")
    head_timeout_s: float = Field(10.0, gt=0, le=300, description="for the headers to arrive")
    body_bytes_max: int = Field(
        1_048_576, ge=0, le=1_073_741_824, description="the largest body, or message of a stream, decompressed"
    )
    body_timeout_s: float = Field(30.0, gt=0, le=3600, description="for the body to arrive")
    json_depth_max: int = Field(64, ge=1, le=100, description="how deep JSON may be nested")
    concurrent_requests_max: int = Field(1000, ge=1, le=100_000, description="requests at the same time")
    concurrent_streams_max: int = Field(
        10_000, ge=1, le=1_000_000, description="streams at the same time, besides those requests"
    )
    stream_timeout_s: float = Field(
        86_400, gt=0, le=31_536_000, description="for streaming methods whose contract names no timeout"
    )
    stream_idle_s: float = Field(
        300, gt=0, le=86_400, description="how long a client may leave a stream of its own without a message"
    )
    stream_open_s: float = Field(
        1.0, gt=0, le=60, description="how long the headers of lines or events wait for the first message"
    )
    stream_heartbeat_s: float = Field(
        15.0, ge=0, le=3600, description="between comments in quiet server-sent events, and WebSocket's pings; 0: none"
    )
    stream_bytes_max: int = Field(
        17_179_869_184, ge=0, le=1_125_899_906_842_624, description="the longest stream or file that a client may send"
    )
    stream_messages_max: int = Field(
        1_000_000, ge=1, le=1_000_000_000, description="the most messages of a stream that a client may send"
    )
    stall_s: float = Field(60.0, gt=0, le=3600, description="how long a client may take nothing of what it is sent")
    keep_alive_s: int = Field(65, ge=1, le=3600, description="how long an idle connection is kept")

    ignore_unknown_fields: bool = Field(False, description="ignore fields and parameters that the contract lacks")
    json_proto_names: bool = Field(False, description="write fields by the contract's names, not in camelCase")
    json_enums_as_numbers: bool = Field(False, description="write enums as numbers")
    json_emit_defaults: bool = Field(False, description="write fields that hold their default")

    @model_validator(mode="after")
    def _needs_issuer(self) -> "EdgeSettings":
        if self.jwks_url is not None and not self.token_issuer:
            raise ValueError("TOKEN_ISSUER must be set beside JWKS_URL")
        return self

    def address_of(self, service: str) -> str | None:
        """Where a service answers, None if nothing says so."""
        return self.upstreams.get(service, self.upstreams.get(ANY_SERVICE))


_FLAGS = {
    "--contracts": "contracts",
    "--jwks": "jwks_url",
    "--issuer": "token_issuer",
    "--audience": "token_audience",
    "--host": "host",
    "--port": "port",
}


def from_command_line(arguments: Sequence[str]) -> tuple[EdgeSettings, bool]:
    """The settings, and whether the contracts are only to be checked. If one is wrong, says so on standard error and
    exits with status 2.
    """
    parsed = vars(_parser().parse_args(arguments))
    check_only = bool(parsed.pop("check"))
    given: dict[str, Any] = {name: value for name, value in parsed.items() if value is not None}
    if upstreams := given.pop("upstream", None):
        given["upstreams"] = ",".join(upstreams)
    elif check_only:
        given.setdefault("upstreams", "")
    try:
        return EdgeSettings(**given), check_only
    except ValidationError as error:
        print(_explain(error), file=sys.stderr)
        sys.exit(EXIT_WRONG_SETTINGS)


def _explain(error: ValidationError) -> str:
    """A line for each wrong setting: its name, what is wrong with its value, and an example. Values are not repeated:
    they may be secret.
    """
    lines = []
    for problem in error.errors(include_input=False, include_url=False):
        name = str(problem["loc"][0]) if problem["loc"] else "settings"
        what = "is not set" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
        field = EdgeSettings.model_fields.get(name)
        example = f" Example: {name.upper()}={field.examples[0]}" if field is not None and field.examples else ""
        lines.append(f"{name.upper()}: {what}.{example}")
    return "\n".join(["Wrong settings:", *sorted(lines)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edge",
        description="REST/JSON in front of the gRPC services of a contract with google.api.http rules.",
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for flag, name in _FLAGS.items():
        parser.add_argument(flag, dest=name, metavar=name.upper(), help=_help(name))
    parser.add_argument("--upstream", action="append", metavar="SERVICE=HOST:PORT", help=_help("upstreams"))
    parser.add_argument("--check", action="store_true", help="print every route and every problem, then exit")
    return parser


def _help(name: str) -> str:
    field = EdgeSettings.model_fields["listen_host" if name == "host" else name]
    default = f" (default {field.default})" if field.default and not field.is_required() else ""
    return f"{field.description}{default}".replace("%", "%%")


def _epilog() -> str:
    """The settings that are environment variables only."""
    lines = ["Environment variables, which the options above override:"]
    for name, field in EdgeSettings.model_fields.items():
        if field.description is not None:
            default = field.get_default(call_default_factory=True) if not field.is_required() else None
            shown = " ".join(default) if isinstance(default, list) else default
            suffix = "" if shown in (None, "", False) else f" (default {shown})"
            lines.append(f"  {'HOST' if name == 'listen_host' else name.upper():25} {field.description}{suffix}")
    return "\n".join(lines)
