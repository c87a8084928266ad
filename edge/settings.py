"""The settings of the edge, from environment variables and from the command line, which wins."""

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from edge.call.address import Address
from edge.call.metadata import check_name
from edge.call.upstreams import TransportName
from edge.http.held_bytes import BODIES_MIN
from edge.http.proxies import resolve_trusted
from mesh.contract.policy import DEFAULT_TIMEOUT_S
from mesh.settings import HttpUrl, HttpUrlOrEmpty, Port, ProcessSettings, load, variables
from mesh.standard_webhooks import SIGNATURE_HEADERS


def _words(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _addresses(value: object) -> object:
    """Returns the address of each service in "pkg.Service=host:port, …"."""
    if not isinstance(value, str):
        return value
    addresses: dict[str, Address] = {}
    for entry in value.replace(",", " ").split():
        service, separator, text = entry.partition("=")
        if not (service and separator and text):
            raise ValueError(f"{entry!r} is not pkg.Service=host:port, nor *=host:port for all services")
        try:
            address = Address.parse(text)
        except ValueError as error:
            raise ValueError(f"{entry!r}: {error}") from error
        if addresses.setdefault(service, address) != address:
            raise ValueError(f"{service} has two addresses")
    return addresses


def _links(value: object) -> object:
    """Returns the URL of each name in "Name=URL, …"."""
    if not isinstance(value, str):
        return value
    links: dict[str, str] = {}
    for entry in value.replace(",", " ").split():
        name, _, url = entry.partition("=")
        if not name or not url.startswith(("http://", "https://")):
            raise ValueError(f"{entry!r} is not Name=URL with http:// or https://")
        links[name.replace("_", " ")] = url
    return links


def _pages_path(value: str) -> str:
    if not _PAGES_PATH.fullmatch(value):
        raise ValueError("must be empty or a path such as /_edge, without a slash at its end")
    return value


_PAGES_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")

Links = Annotated[dict[str, str], NoDecode, BeforeValidator(_links)]
PagesPath = Annotated[str, AfterValidator(_pages_path)]
Words = Annotated[list[str], NoDecode, BeforeValidator(_words)]
Proxies = Annotated[Words, AfterValidator(resolve_trusted)]
HeaderNames = Annotated[Words, AfterValidator(lambda names: [check_name(name) for name in names])]
Addresses = Annotated[dict[str, Address], NoDecode, BeforeValidator(_addresses)]


class EdgeSettings(ProcessSettings):
    """The settings of the edge. Limits ending in _bytes_max are in bytes, those ending in _s in seconds."""

    contracts: str = Field(
        min_length=1,
        description="a descriptor image, a folder of .proto files, or 'reflect' to ask the upstreams",
        examples=["image.binpb"],
    )
    upstreams: Addresses = Field(
        description="the gRPC address of a service; * stands for all other services, https:// for TLS",
        examples=["pkg.Service=localhost:9000"],
    )
    jwks_url: HttpUrl | None = Field(
        None,
        description="the URL of the keys that verify access tokens; without it tokens are passed on without a check",
        examples=["http://localhost:8080/.well-known/jwks.json"],
    )
    ended_tokens_url: HttpUrlOrEmpty = Field(
        "",
        description="the URL of the list of revoked access tokens; without it tokens are valid until they expire",
        examples=["http://localhost:8080/v1/oauth2/endedTokens"],
    )
    token_issuer: str = Field(
        "",
        description="the issuer that tokens must have; without it any issuer is accepted",
        examples=["https://shop.example.com"],
    )
    token_audience: str = Field(
        "", description="the audience that tokens must have; without it any audience is accepted", examples=["shop"]
    )
    listen_host: str = Field(
        "127.0.0.1",
        min_length=1,
        validation_alias=AliasChoices("host", "listen_host"),
        description="the address to listen on",
        examples=["0.0.0.0"],
    )
    port: Port = Field(8080, description="the port to listen on", examples=[8080])
    workers: int = Field(
        1, ge=1, le=64, description="the number of processes that serve the port; they share the limits"
    )
    ops_port: Port = Field(
        0, description="a separate port for /livez, /readyz and /metrics; with 0 they are on PORT", examples=[9090]
    )
    drain_quiet_s: float = Field(
        0.0, ge=0, le=60, description="behind proxies: when stopped, serve until no request has arrived for this long"
    )
    drain_s_max: float = Field(
        10.0, ge=0, le=300, description="the maximum time that DRAIN_QUIET_S may extend the stop"
    )
    service_mesh: bool = Field(
        False, description="leave retries and circuit breaking to a service mesh such as Linkerd"
    )
    lenient: bool = Field(False, description="leave out invalid rules instead of refusing to start")
    reload_every_s: float = Field(
        1.0, ge=0, le=3600, description="how often to check for changed contracts; with 0 only SIGHUP reloads them"
    )
    reflect_wait_s: float = Field(
        30.0, ge=0, le=3600, description="how long 'reflect' waits for the upstreams at the start"
    )
    upstream_transport: TransportName = Field(
        "http2", description="the implementation of gRPC to the upstreams: the edge's own (http2), or gRPC's library"
    )
    upstream_ca_file: Path | None = Field(
        None,
        description="the CA certificates to verify https:// upstreams with, instead of the system's",
        examples=["ca.pem"],
    )
    upstream_cert_file: Path | None = Field(
        None, description="the client certificate for https:// upstreams", examples=["edge.pem"]
    )
    upstream_key_file: Path | None = Field(
        None, description="the private key of UPSTREAM_CERT_FILE", examples=["edge.key"]
    )
    api_title: str = Field("API", min_length=1, description="the title of the API documentation")
    pages_path: PagesPath = Field(
        "", description="the path prefix of /docs and the edge's other pages", examples=["/_edge"]
    )
    page_links: Links = Field(
        default_factory=dict,
        description="links to other pages on the one at /; _ stands for a space",
        examples=["Mail=http://localhost:8025/"],
    )
    oauth_token_url: HttpUrlOrEmpty = Field(
        "",
        description="the token endpoint at which /docs signs in, if it is not that of the contract",
        examples=["https://id.example.com/token"],
    )

    cors_origins: Words = Field(
        default_factory=list,
        description="the origins whose scripts may call; * allows all",
        examples=["https://app.example.com"],
    )
    cors_max_age_s: int = Field(600, ge=0, le=86_400, description="how long browsers may cache a preflight")
    request_headers: HeaderNames = Field(
        default_factory=lambda: ["accept-language", "traceparent", "tracestate", *SIGNATURE_HEADERS],
        description="the request headers that are passed on to services as metadata",
    )
    response_headers: HeaderNames = Field(
        default_factory=list, description="the response metadata that is passed on to clients as headers"
    )
    bare_messages: bool = Field(
        False,
        description="pass on messages of UNKNOWN, INTERNAL, DATA_LOSS and UNAVAILABLE without google.rpc.Status",
    )
    trusted_proxies: Proxies = Field(
        default_factory=list,
        description="the proxies whose X-Forwarded-For is trusted; gateway stands for that of the default route",
        examples=["10.0.0.0/8"],
    )

    call_timeout_s: float = Field(
        DEFAULT_TIMEOUT_S, gt=0, le=3600, description="the timeout of methods whose contract sets none"
    )
    url_bytes_max: int = Field(8192, ge=64, le=65_536, description="the maximum length of a URL")
    head_bytes_max: int = Field(
        32_768, ge=1024, le=1_048_576, description="the maximum size of the request line and headers"
    )
    head_timeout_s: float = Field(
        10.0, gt=0, le=300, description="how long the headers of a request may take to arrive"
    )
    body_bytes_max: int = Field(
        1_048_576,
        ge=0,
        le=1_073_741_824,
        description="the maximum size of a body, or of a message of a stream, after decompression",
    )
    connections_max: int = Field(
        2000, ge=1, le=100_000, description="the maximum number of open connections, each of which may take 93 kB"
    )
    held_bytes_max: int = Field(
        67_108_864,
        ge=1024,
        description="the total size of bodies and replies held for slow clients, at least twice BODY_BYTES_MAX",
    )
    body_timeout_s: float = Field(30.0, gt=0, le=3600, description="how long a request body may take to arrive")
    json_depth_max: int = Field(64, ge=1, le=100, description="the maximum nesting of JSON")
    concurrent_requests_max: int = Field(
        1000, ge=1, le=100_000, description="the maximum number of concurrent requests"
    )
    concurrent_streams_max: int = Field(
        1000, ge=1, le=1_000_000, description="the maximum number of concurrent streams, in addition to those requests"
    )
    stream_timeout_s: float = Field(
        86_400, gt=0, le=31_536_000, description="the timeout of streaming methods whose contract sets none"
    )
    stream_idle_s: float = Field(300, gt=0, le=86_400, description="how long a client that streams may send no message")
    stream_open_s: float = Field(
        1.0, gt=0, le=60, description="how long the headers of NDJSON or events wait for a message"
    )
    stream_heartbeat_s: float = Field(
        15.0,
        ge=0,
        le=3600,
        description="the interval of comments in quiet event streams and of WebSocket pings; 0 sends none",
    )
    stream_bytes_max: int = Field(
        17_179_869_184,
        ge=0,
        le=1_125_899_906_842_624,
        description="the maximum size of a stream or file that a client may send",
    )
    stream_messages_max: int = Field(
        1_000_000,
        ge=1,
        le=1_000_000_000,
        description="the maximum number of messages in a stream that a client may send",
    )
    stall_s: float = Field(
        60.0,
        gt=0,
        le=3600,
        description="how long a client may receive nothing; it is disconnected within twice this time",
    )
    keep_alive_s: int = Field(65, ge=1, le=3600, description="how long an idle connection is kept open")

    ignore_unknown_fields: bool = Field(
        False, description="ignore fields and parameters that the contract does not declare"
    )
    json_proto_names: bool = Field(False, description="write field names as the contract does, not in camelCase")
    json_enums_as_numbers: bool = Field(False, description="write enums as numbers")
    json_emit_defaults: bool = Field(False, description="write fields that have their default value")

    @property
    def operations_on_port(self) -> bool:
        """Returns whether /livez, /readyz and /metrics are on the port of the contract."""
        return self.ops_port in (0, self.port)

    @model_validator(mode="after")
    def _bodies_fit_in_the_held_bytes(self) -> "EdgeSettings":
        least = BODIES_MIN * self.body_bytes_max
        if self.held_bytes_max < least:
            text = "so that one client can send the next body while its last one is in use"
            raise ValueError(f"HELD_BYTES_MAX must be at least twice BODY_BYTES_MAX, {least}, {text}")
        return self

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> "EdgeSettings":
        if (self.upstream_cert_file is None) is not (self.upstream_key_file is None):
            raise ValueError("UPSTREAM_CERT_FILE and UPSTREAM_KEY_FILE must be set together")
        return self


# The settings that are command-line options too, and the placeholders of their values in the help.
_OPTIONS: Final = {
    "--contracts": ("contracts", "IMAGE|FOLDER|reflect"),
    "--upstream": ("upstreams", "SERVICE=HOST:PORT"),
    "--jwks": ("jwks_url", "URL"),
    "--ended-tokens": ("ended_tokens_url", "URL"),
    "--issuer": ("token_issuer", "ISSUER"),
    "--audience": ("token_audience", "AUDIENCE"),
    "--host": ("listen_host", "HOST"),
    "--port": ("port", "PORT"),
    "--workers": ("workers", "N"),
    "--lenient": ("lenient", ""),
}
_OPTION_OF: Final = {name: option for option, (name, _) in _OPTIONS.items()}
_DESCRIPTION: Final = """\
REST/JSON in front of gRPC services, for any contract with google.api.http rules.

  python -m edge --contracts image.binpb --upstream shop.v1.Orders=localhost:9003 --upstream '*=localhost:9000'
  python -m edge --contracts protos/ --upstream '*=https://grpc.example.com' --jwks https://id.example.com/jwks.json
  python -m edge --contracts reflect --upstream '*=localhost:9000' --check"""


def from_command_line(arguments: Sequence[str]) -> tuple[EdgeSettings, bool]:
    """Returns the settings, and whether --check is given. If settings are invalid, writes a line for each to standard
    error and exits with status 2.
    """
    parsed = vars(_parser().parse_args(arguments))
    check_only = bool(parsed.pop("check"))
    given: dict[str, Any] = {name: value for name, value in parsed.items() if value is not None}
    if "upstreams" in given:
        given["upstreams"] = ",".join(given["upstreams"])
    elif check_only and "UPSTREAMS" not in os.environ:
        given["upstreams"] = ""
    return load(EdgeSettings, _OPTION_OF, **given), check_only


def option_of(name: str) -> str | None:
    """Returns the option of a setting on the command line, None if it has none."""
    return _OPTION_OF.get(name)


def _variable(field: str) -> str:
    return variables(EdgeSettings, field)[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edge",
        usage="%(prog)s --contracts IMAGE|FOLDER|reflect --upstream SERVICE=HOST:PORT [options]",
        description=_DESCRIPTION,
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, (field, metavar) in _OPTIONS.items():
        action: dict[str, Any] = {"metavar": metavar} if metavar else {"action": "store_const", "const": True}
        if field == "upstreams":
            action["action"] = "append"
        parser.add_argument(option, dest=_variable(field).lower(), help=_help(field), **action)
    parser.add_argument(
        "--check",
        action="store_true",
        help="print all routes and problems, then exit; needs no --upstream, unless for 'reflect'",
    )
    return parser


def _help(name: str) -> str:
    again = "; may be repeated" if name == "upstreams" else ""
    return f"{_description(name)}{again} [{_variable(name)}]".replace("%", "%%")


def _epilog() -> str:
    """Returns the help for the settings that are only environment variables."""
    lines = ["Every option can also be set by the environment variable in brackets. Set by environment variable only:"]
    lines += (
        f"  {_variable(name):27} {_description(name)}"
        for name in EdgeSettings.model_fields
        if name not in _OPTION_OF and EdgeSettings.model_fields[name].description is not None
    )
    return "\n".join(lines)


def _description(name: str) -> str:
    """Returns the description of a setting, and its default."""
    field = EdgeSettings.model_fields[name]
    default = field.get_default(call_default_factory=True) if not field.is_required() else None
    shown = " ".join(default) if isinstance(default, list | dict) else default
    return f"{field.description}" + (f" (default {shown})" if shown not in (None, "", False) else "")
