"""The processes that `make up` runs."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from protobuf.wkt import FileDescriptorSet

from local import processes
from local.declarations.checkout import read_services
from local.home import Home
from local.nats import Nats
from local.postgres import Postgres

ROOT = Path(__file__).resolve().parents[2]
SERVICES = read_services(ROOT)
PORTS = processes.port_variables(SERVICES)
COMMON = {
    *("GRPC_PORT", "OPS_PORT", "JWKS_URL", "ENDED_TOKENS_URL", "TOKEN_URL", "TOKEN_ISSUER", "TOKEN_AUDIENCE"),
    *("HOST", "LISTEN_HOST", "LOG_FORMAT", "SHUTDOWN_GRACE_S"),
}


@pytest.fixture
def environments(tmp_path: Path) -> dict[str, Mapping[str, str]]:
    """Returns what only it needs of each service, by its name."""
    home = Home(tmp_path)
    home.create()
    postgres, nats = Postgres(home.data("postgres"), 1), Nats(home.data("nats"), (), 2)
    started = [processes.service(each, SERVICES, home, PORTS, postgres, nats) for each in SERVICES]
    return {
        process.name: {name: value for name, value in process.environment.items() if name not in COMMON}
        for process in started
    }


def test_a_service_has_what_it_needs_and_no_more(environments: dict[str, Mapping[str, str]]) -> None:
    """A service has its own database and broker user, the addresses of the services that it calls, and its declared
    variables.
    """
    stores = {"DATABASE_URL", "BROKER_URL"}
    expected = {
        "identity": stores
        | {"KEY_ENCRYPTION_SECRET", "STAFF_EMAIL", "STAFF_PASSWORD", "SERVICE_CLIENTS"}
        | {"BROWSER_CLIENTS", "PASSWORD_GRANT"},
        "catalog": stores,
        "orders": stores | {"CATALOG_ADDRESS", "INVENTORY_ADDRESS", "PAYMENTS_ADDRESS", "CLIENT_ID", "CLIENT_SECRET"},
        "notifications": stores
        | {"IDENTITY_ADDRESS", "SMTP_URL", "MAIL_FROM", "SMS_FOLDER", "CLIENT_ID", "CLIENT_SECRET"}
        | {"WEBHOOK_SIGNING_SECRET"},
        "information": set(),
        "recommendations": stores,
        "support": stores,
    }
    assert {name: set(environments[name]) for name in expected} == expected
    assert environments["orders"]["CATALOG_ADDRESS"] == "127.0.0.1:9002"
    clients = {name: environments[name]["CLIENT_SECRET"] for name in ("notifications", "orders")}
    assert json.loads(environments["identity"]["SERVICE_CLIENTS"]) == clients


def test_secrets_keep_their_files(tmp_path: Path) -> None:
    """The names of the files of secrets are stable, so that existing data can still be opened."""
    files = [processes.secret_file(variable) for variable in ("KEY_ENCRYPTION_SECRET", "STAFF_PASSWORD", "API_KEY")]
    assert files == ["key-encryption", "staff-password", "api-key"]


def test_the_edge_reaches_every_grpc_service_of_the_contracts() -> None:
    """The edge has an upstream for the full name of every service of the contracts."""
    image = FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes())
    declared = {f"{file.package}.{each.name}" for file in image.file for each in file.service}
    upstreams = processes.edge(SERVICES, PORTS).environment["UPSTREAMS"].split(",")
    assert {upstream.partition("=")[0] for upstream in upstreams} == declared


def test_every_migration_decides_what_the_databases_look_like() -> None:
    """A new migration, also one of the mesh's own tables, is applied to a mesh that has run before."""
    names = {path.resolve() for path in processes.migrations(SERVICES)}
    assert names == {*ROOT.glob("mesh/**/*.sql"), *ROOT.glob("services/*/migrations/*.sql")}
