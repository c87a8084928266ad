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
from edge.http.proxies import trusted
from mesh.contract.policy import DEFAULT_TIMEOUT_S
from mesh.settings import HttpUrl, HttpUrlOrEmpty, Port, ProcessSettings, load, variables


def _words(value: object) -> object:
    return value.replace(",", " ").split() if isinstance(value, str) else value


def _addresses(value: object) -> object:
    """The address of each service of "pkg.Service=host:port, …"."""
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


def _pages_path(value: str) -> str:
    if not _PAGES_PATH.fullmatch(value):
        raise ValueError("must be empty or a path such as /_edge, without a slash at its end")
    return value


_PAGES_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")

PagesPath = Annotated[str, AfterValidator(_pages_path)]
Words = Annotated[list[str], NoDecode, BeforeValidator(_words)]
Proxies = Annotated[Words, AfterValidator(trusted)]
HeaderNames = Annotated[Words, AfterValidator(lambda names: [check_name(name) for name in names])]
Addresses = Annotated[dict[str, Address], NoDecode, BeforeValidator(_addresses)]


class EdgeSettings(ProcessSettings):
    """What the edge needs. Limits that end in _bytes_max count bytes, those that end in _s seconds."""

    contracts: str = Field(
        min_length=1,
        description="a descriptor image, a folder of .proto files, or 'reflect' to ask the upstreams",
        examples=["image.binpb"],
    )
    upstreams: Addresses = Field(
        description="where a service answers gRPC; * stands for every other one, https:// for TLS",
        examples=["pkg.Service=localhost:9000"],
    )
    jwks_url: HttpUrl | None = Field(
        None,
        description="the keys that verify access tokens; without it tokens are not checked but passed on",
        examples=["http://localhost:8080/.well-known/jwks.json"],
    )
    ended_tokens_url: HttpUrlOrEmpty = Field(
        "",
        description="the list of access tokens that were revoked; without it each is good until it expires",
        examples=["http://localhost:8080/v1/oauth2/endedTokens"],
    )
    token_issuer: str = Field(
        "", description="the issuer that tokens must name; without it any", examples=["https://shop.example.com"]
    )
    token_audience: str = Field("", description="the audience that tokens must name; without it any", examples=["shop"])
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
    drain_quiet_s: float = Field(
        0.0, ge=0, le=60, description="behind proxies: when stopped, serve until no request has come for so long"
    )
    drain_s_max: float = Field(10.0, ge=0, le=300, description="how long that may take at most")
    service_mesh: bool = Field(
        False, description="there is a service mesh such as Linkerd, which retries and breaks circuits"
    )
    lenient: bool = Field(False, description="leave rules out that are wrong, rather than not to start")
    reload_every_s: float = Field(
        1.0, ge=0, le=3600, description="how often to look for changed contracts; 0 waits for SIGHUP"
    )
    reflect_wait_s: float = Field(30.0, ge=0, le=3600, description="how long to wait for upstreams with 'reflect'")
    upstream_ca_file: Path | None = Field(
        None, description="certificates to believe of https:// upstreams; this machine's otherwise", examples=["ca.pem"]
    )
    upstream_cert_file: Path | None = Field(
        None, description="the certificate to show to https:// upstreams", examples=["edge.pem"]
    )
    upstream_key_file: Path | None = Field(None, description="the key of that certificate", examples=["edge.key"])
    api_title: str = Field("API", min_length=1, description="the title of the documentation")
    pages_path: PagesPath = Field(
        "", description="the path below which /docs and the edge's other pages are", examples=["/_edge"]
    )

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
    bare_messages: bool = Field(
        False, description="pass on messages of UNKNOWN, INTERNAL, DATA_LOSS, UNAVAILABLE without google.rpc.Status"
    )
    trusted_proxies: Proxies = Field(
        default_factory=list,
        description="addresses whose X-Forwarded-For names the client; gateway is that of the default route",
        examples=["10.0.0.0/8"],
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
    connections_max: int = Field(2000, ge=1, le=1_000_000, description="connections at the same time")
    held_bytes_max: int = Field(
        33_554_432, ge=1024, description="of bodies and replies that clients send or take slowly, in all"
    )
    body_timeout_s: float = Field(30.0, gt=0, le=3600, description="for the body to arrive")
    json_depth_max: int = Field(64, ge=1, le=100, description="how deep JSON may be nested")
    concurrent_requests_max: int = Field(1000, ge=1, le=100_000, description="requests at the same time")
    concurrent_streams_max: int = Field(
        1000, ge=1, le=1_000_000, description="streams at the same time, besides those requests"
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

    @property
    def operations_on_port(self) -> bool:
        """Whether /livez, /readyz and /metrics are on the port of the contract."""
        return self.ops_port in (0, self.port)

    @model_validator(mode="after")
    def _certificate_has_a_key(self) -> "EdgeSettings":
        if (self.upstream_cert_file is None) is not (self.upstream_key_file is None):
            raise ValueError("UPSTREAM_CERT_FILE and UPSTREAM_KEY_FILE go together")
        return self


# The settings that are options too, and what the help calls their values.
_OPTIONS: Final = {
    "--contracts": ("contracts", "IMAGE|FOLDER|reflect"),
    "--upstream": ("upstreams", "SERVICE=HOST:PORT"),
    "--jwks": ("jwks_url", "URL"),
    "--ended-tokens": ("ended_tokens_url", "URL"),
    "--issuer": ("token_issuer", "ISSUER"),
    "--audience": ("token_audience", "AUDIENCE"),
    "--host": ("listen_host", "HOST"),
    "--port": ("port", "PORT"),
    "--lenient": ("lenient", ""),
}
_OPTION_OF: Final = {name: option for option, (name, _) in _OPTIONS.items()}
_DESCRIPTION: Final = """\
REST/JSON in front of gRPC services, for any contract with google.api.http rules.

  python -m edge --contracts image.binpb --upstream shop.v1.Orders=localhost:9003 --upstream '*=localhost:9000'
  python -m edge --contracts protos/ --upstream '*=https://grpc.example.com' --jwks https://id.example.com/jwks.json
  python -m edge --contracts reflect --upstream '*=localhost:9000' --check"""


def from_command_line(arguments: Sequence[str]) -> tuple[EdgeSettings, bool]:
    """Returns the settings, and whether the contracts are only to be checked. Exits with status 2 and a
    line for each wrong setting on standard error.
    """
    parsed = vars(_parser().parse_args(arguments))
    check_only = bool(parsed.pop("check"))
    given: dict[str, Any] = {name: value for name, value in parsed.items() if value is not None}
    if "upstreams" in given:
        given["upstreams"] = ",".join(given["upstreams"])
    elif check_only and "UPSTREAMS" not in os.environ:
        given["upstreams"] = ""
    return load(EdgeSettings, _OPTION_OF, **given), check_only


def _variable(field: str) -> str:
    return variables(EdgeSettings, field)[0]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m edge",
        usage="%(prog)s --contracts WHAT --upstream SERVICE=HOST:PORT [options]",
        description=_DESCRIPTION,
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for option, (field, metavar) in _OPTIONS.items():
        action: dict[str, Any] = {"metavar": metavar} if metavar else {"action": "store_const", "const": True}
        if field == "upstreams":
            action["action"] = "append"
        parser.add_argument(option, dest=_variable(field).lower(), help=_help(field), **action)
    parser.add_argument("--check", action="store_true", help="print every route and every problem, then exit")
    return parser


def _help(name: str) -> str:
    again = "; may be repeated" if name == "upstreams" else ""
    return f"{_description(name)}{again} [{_variable(name)}]".replace("%", "%%")


def _epilog() -> str:
    """The settings that are environment variables only."""
    lines = ["Every option can be given by the environment variable in brackets. By environment only:"]
    lines += (
        f"  {_variable(name):27} {_description(name)}"
        for name in EdgeSettings.model_fields
        if name not in _OPTION_OF and EdgeSettings.model_fields[name].description is not None
    )
    return "\n".join(lines)


def _description(name: str) -> str:
    """What a setting means, and its default."""
    field = EdgeSettings.model_fields[name]
    default = field.get_default(call_default_factory=True) if not field.is_required() else None
    shown = " ".join(default) if isinstance(default, list) else default
    return f"{field.description}" + (f" (default {shown})" if shown not in (None, "", False) else "")
