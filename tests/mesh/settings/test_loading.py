"""Settings: valid ones are loaded, and an invalid one stops the process with a message."""

import subprocess
import sys

import pytest
from pydantic import Field, ValidationError

from mesh.settings import (
    EXIT_INVALID_SETTINGS,
    Address,
    ClientSettings,
    DatabaseSettings,
    EventSettings,
    ServiceSettings,
    load,
)

RIGHT = {"JWKS_URL": "http://edge:8080/jwks.json", "TOKEN_ISSUER": "https://shop.test"}


class CallerSettings(ServiceSettings, ClientSettings, DatabaseSettings):
    """The settings of a process that uses everything."""

    catalog_address: Address = Field(examples=["catalog:9000"])


def load_from(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> CallerSettings:
    """Loads the settings from these variables only."""
    for name in CallerSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load(CallerSettings)


GOOD = RIGHT | {
    "TOKEN_URL": "http://edge:8080/v1/oauth2/token",
    "CLIENT_ID": "orders",
    "CLIENT_SECRET": "a secret that is long enough",
    "DATABASE_URL": "postgresql://orders@postgres/orders",
    "CATALOG_ADDRESS": "catalog:9000",
}


def test_variables_become_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are parsed and converted; variables that are not set have their defaults."""
    settings = load_from(monkeypatch, GOOD | {"GRPC_PORT": "0", "SHUTDOWN_GRACE_S": "2.5"})
    assert (settings.grpc_port, settings.shutdown_grace_s, settings.ops_port) == (0, 2.5, 9090)
    assert "long enough" not in repr(settings), "a secret is not shown"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("JWKS_URL", None, "JWKS_URL: is not set. Example: JWKS_URL=http://edge:8080/.well-known/jwks.json"),
        ("JWKS_URL", "edge", "JWKS_URL: must be a URL that starts with http:// or https://. Example: "),
        ("GRPC_PORT", "http", "GRPC_PORT: must be a whole number from 0 to 65535. Example: GRPC_PORT=9000"),
        ("GRPC_PORT", "70000", "GRPC_PORT: must be a whole number from 0 to 65535"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: must be debug, info, warning or error. Example: LOG_LEVEL=info"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL: must be a URL that starts with postgresql:// or postgres://"),
        ("SHUTDOWN_GRACE_S", "nan", "SHUTDOWN_GRACE_S: must be a number of seconds from 0 to 300. Example: "),
        ("CATALOG_ADDRESS", "catalog:65536", "CATALOG_ADDRESS: must be host:port"),
        ("CATALOG_ADDRESS", "catalog", "CATALOG_ADDRESS: must be host:port with a port from 1 to 65535. Example: "),
        (
            "CATALOG_ADDRESS",
            "catalog:9000\n",
            "CATALOG_ADDRESS: must be host:port with a port from 1 to 65535. Example: ",
        ),
        ("CATALOG_ADDRESS", "catalog:0", "CATALOG_ADDRESS: must be host:port with a port from 1 to 65535. Example: "),
        ("CATALOG_ADDRESS", "catalog:٩", "CATALOG_ADDRESS: must be host:port with a port from 1 to 65535. Example: "),
        ("CLIENT_SECRET", "short", "CLIENT_SECRET: must have at least 16 characters"),
        ("SERVICE_MESH", "maybe", "SERVICE_MESH: must be true or false. Example: SERVICE_MESH=true"),
        ("TOKEN_AUDIENCE", "", "TOKEN_AUDIENCE: must not be empty. Example: TOKEN_AUDIENCE=meshwright"),
        ("TOKEN_AUDIENCE", "\udcff", "TOKEN_AUDIENCE: must be a valid string"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "", "OTEL_EXPORTER_OTLP_ENDPOINT: must be a URL that starts with http"),
    ],
)
def test_an_invalid_variable_stops_the_process(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    value: str | None,
    expected: str,
) -> None:
    """The message names the variable, the requirement and an example; the status is 2."""
    environment = {key: text for key, text in (GOOD | {name: value}).items() if text is not None}
    with pytest.raises(SystemExit) as caught:
        load_from(monkeypatch, environment)
    assert caught.value.code == EXIT_INVALID_SETTINGS
    assert expected in capsys.readouterr().err


def test_settings_cannot_be_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings are immutable."""
    settings = load_from(monkeypatch, GOOD)
    with pytest.raises(ValidationError):
        settings.grpc_port = 1  # type: ignore[misc] # which the type checker sees too


def test_a_secret_is_not_repeated_by_any_error() -> None:
    """Settings given by a program are validated too, and the error shows no value."""
    with pytest.raises(ValidationError) as caught:
        DatabaseSettings(database_url="mysql://shop:hunter2@db")
    assert "hunter2" not in str(caught.value)


def test_every_invalid_variable_is_named_and_no_value_is_repeated(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All errors are reported at once, and a secret in the wrong variable is not printed."""
    with pytest.raises(SystemExit):
        load_from(monkeypatch, {"DATABASE_URL": "hunter2", "OPS_PORT": "hunter2"})
    said = capsys.readouterr().err
    assert "hunter2" not in said
    for name in (*GOOD, "OPS_PORT"):
        assert f"{name}: " in said


def test_a_service_does_not_import_what_it_does_not_use() -> None:
    """Each of these modules costs memory, and libraries import them wherever they are installed."""
    program = "import sys, services.orders.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "services.orders.handlers" in loaded
    unused = {"fastapi", "google.protobuf", "httpx", "opentelemetry", "rich", "starlette", "uvicorn"}
    assert not unused & set(loaded)


def test_a_former_name_is_mentioned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever still sets a variable by its former name reads what it is called now, and nothing of its value."""
    monkeypatch.delenv("BROKER_URL", raising=False)
    monkeypatch.setenv("NATS_URL", "nats://orders:secret@nats:4222")
    with pytest.raises(SystemExit):
        load(EventSettings)
    error = capsys.readouterr().err
    assert "BROKER_URL: is not set. NATS_URL is its former name: rename it. Example: BROKER_URL=nats://" in error
    assert "orders:secret@nats:4222" not in error.replace("Example: BROKER_URL=nats://orders:secret@nats:4222", "")
