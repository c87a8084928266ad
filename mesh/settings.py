"""Settings of a process, read from environment variables. A wrong or missing one stops the process with a sentence
that names it.

Each is a field of a dataclass, whose type says what its text must be; msgspec converts and checks it. A secret is a
field that repr() leaves out.
"""

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta

S = TypeVar("S")

EXIT_WRONG_SETTINGS = 2

PORT_FROM_1 = r"(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"


class WrongSettings(ValueError):
    """Settings that can't be used; the text has a line for each."""


Address = Annotated[
    str,
    Meta(
        pattern=rf"^[^\s]+:{PORT_FROM_1}\Z",
        description="must be host:port with a port from 1 to 65535",
        examples=["catalog:9000"],
    ),
]
"""Where a workload answers gRPC: host:port."""

HttpUrl = Annotated[
    str, Meta(pattern=r"^https?://[^\s/]", description="must be a URL that starts with http:// or https://")
]
HttpUrlOrNone = Annotated[
    str,
    Meta(
        pattern=r"^(?:https?://[^\s/]|\Z)", description="must be a URL that starts with http:// or https://, or empty"
    ),
]
Port = Annotated[int, Meta(ge=0, le=65535, description="must be a whole number from 0 to 65535")]
Text = Annotated[str, Meta(min_length=1, description="must not be empty")]


def seconds(least: float, most: float) -> Meta:
    """The constraint of a number of seconds."""
    return Meta(ge=least, le=most, description=f"must be a number of seconds from {least:g} to {most:g}")


def count(least: int, most: int) -> Meta:
    """The constraint of a whole number."""
    return Meta(ge=least, le=most, description=f"must be a whole number from {least} to {most}")


def example(value: object) -> Meta:
    """What the sentence about a wrong value shows."""
    return Meta(examples=[value])


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProcessSettings:
    """What every process needs."""

    listen_host: Annotated[Text, example("0.0.0.0")] = "127.0.0.1"
    ops_port: Annotated[Port, example(9090)] = 9090
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="must be debug, info, warning or error", examples=["info"]),
    ] = "info"
    log_format: Annotated[
        Literal["auto", "json", "text"], Meta(description="must be auto, json or text", examples=["json"])
    ] = "auto"
    shutdown_grace_s: Annotated[float, seconds(0, 300), example(10)] = 10.0
    otel_exporter_otlp_endpoint: Annotated[HttpUrl | None, example("http://collector:4317")] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServiceSettings(ProcessSettings):
    """What a process that serves gRPC needs: where to listen, and whose tokens to believe."""

    grpc_port: Annotated[Port, example(9000)] = 9000
    service_mesh: Annotated[bool, Meta(description="must be true or false", examples=["true"])] = False
    jwks_url: Annotated[HttpUrl, example("http://edge:8080/.well-known/jwks.json")]
    ended_tokens_url: Annotated[HttpUrlOrNone, example("http://edge:8080/v1/oauth2/endedTokens")] = ""
    token_issuer: Annotated[Text, example("https://shop.example.com")]
    token_audience: Annotated[Text, example("meshwright")] = "meshwright"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """What a process needs to call others as itself: OAuth 2.0 client credentials."""

    token_url: Annotated[HttpUrl, example("http://edge:8080/v1/oauth2/token")]
    client_id: Annotated[Text, example("notifications")]
    client_secret: Annotated[
        str,
        Meta(min_length=16, description="must have at least 16 characters"),
        example("the secret that SERVICE_CLIENTS of identity holds for this client"),
    ] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """What a process with a database needs."""

    database_url: Annotated[
        str,
        Meta(
            pattern=r"^postgres(ql)?://",
            description="must be a URL that starts with postgresql:// or postgres://",
            examples=["postgresql://orders:secret@postgres:5432/orders"],
        ),
    ] = dataclasses.field(repr=False)
    database_pool_size: Annotated[int, count(1, 100), example(5)] = 5
    database_statement_timeout_s: Annotated[float, seconds(0.001, 300), example(5)] = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventSettings:
    """What a process that publishes or consumes events needs."""

    nats_url: Annotated[
        str,
        Meta(
            pattern=r"^(nats|tls)://",
            description="must be a URL that starts with nats:// or tls://",
            examples=["nats://nats:4222"],
        ),
    ] = dataclasses.field(repr=False)


def load(settings_type: type[S]) -> S:
    """Reads the settings from the environment; if any is wrong, says so on standard error, every one of them, and
    exits with status 2.
    """
    try:
        return read(settings_type, os.environ)
    except WrongSettings as error:
        print(f"Wrong settings:\n{error}", file=sys.stderr)
        sys.exit(EXIT_WRONG_SETTINGS)


def read(settings_type: type[S], environment: Mapping[str, str]) -> S:
    """The settings that variables give. Raises WrongSettings with a line for each wrong one: its name, what it must
    be, and an example. Values are not repeated: they may be secret.
    """
    hints = get_type_hints(settings_type, include_extras=True)
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for field in dataclasses.fields(settings_type):  # type: ignore[arg-type] # settings are dataclasses
        name, hint = field.name.upper(), hints[field.name]
        text = environment.get(name)
        if text is None:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                wrong.append(f"{name}: is not set.{_example(name, hint)}")
            continue
        try:
            values[field.name] = _convert(text, hint)
        except (msgspec.MsgspecError, UnicodeError):
            wrong.append(f"{name}: {_description(hint)}.{_example(name, hint)}")
    if wrong:
        raise WrongSettings("\n".join(sorted(wrong)))
    try:
        return settings_type(**values)
    except ValueError as error:
        raise WrongSettings(f"{error}.") from error


def _convert(text: str, hint: Any) -> Any:
    """The value of a text; a dictionary is written as JSON."""
    kind = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if get_origin(kind) is dict:
        return msgspec.json.decode(text, type=hint)
    return msgspec.convert(text, hint, strict=False)


def _metas(hint: Any) -> Iterator[Meta]:
    for argument in get_args(hint):
        if isinstance(argument, Meta):
            yield argument
        else:
            yield from _metas(argument)


def _description(hint: Any) -> str:
    return next((meta.description for meta in _metas(hint) if meta.description), "is not right")


def _example(name: str, hint: Any) -> str:
    examples = [meta.examples[0] for meta in _metas(hint) if meta.examples]
    return f" Example: {name}={examples[-1]}" if examples else ""
