"""The table of what `make up` runs. To add a service of your own, add its name here, and its ports."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from local.home import Home
from local.nats import Nats
from local.part import MeshProcess
from local.ports import LOOPBACK
from local.postgres import Postgres

SERVICES = ("identity", "catalog", "orders", "notifications", "information")
WITH_DATABASE = ("identity", "catalog", "orders", "notifications")
STAFF_EMAIL = "staff@example.com"
MAIL_PAGE_SECRET = "mail-page"
CONTRACTS = "gen/contracts.binpb"

PORTS = {  # by the variable that sets it
    "PORT": 8080,  # the edge's: the one that the public uses
    "MAIL_PAGE_PORT": 8025,
    "SMTP_PORT": 8026,
    "POSTGRES_PORT": 8032,
    "NATS_PORT": 8042,
    "IDENTITY_PORT": 9001,
    "CATALOG_PORT": 9002,
    "ORDERS_PORT": 9003,
    "NOTIFICATIONS_PORT": 9004,
    "INFORMATION_PORT": 9005,
    "MAIL_OPS_PORT": 9100,
    "IDENTITY_OPS_PORT": 9101,
    "CATALOG_OPS_PORT": 9102,
    "ORDERS_OPS_PORT": 9103,
    "NOTIFICATIONS_OPS_PORT": 9104,
    "INFORMATION_OPS_PORT": 9105,
}
COMMON = {
    "HOST": LOOPBACK,
    "LISTEN_HOST": LOOPBACK,
    "LOG_FORMAT": "text",
    "SHUTDOWN_GRACE_S": "3",
    "TOKEN_AUDIENCE": "meshwright",
}


def public_url(ports: Mapping[str, int]) -> str:
    """Where the public reaches the edge."""
    return f"http://localhost:{ports['PORT']}"


def mail_url(home: Home, ports: Mapping[str, int]) -> str:
    """Where the page with the mails is, for the owner of the mesh only: the path is a secret."""
    return f"http://localhost:{ports['MAIL_PAGE_PORT']}/{home.secret(MAIL_PAGE_SECRET)}/"


def mail(home: Home, ports: Mapping[str, int]) -> MeshProcess:
    """The mail server."""
    environment = {
        **{name: str(ports[name]) for name in ("SMTP_PORT", "MAIL_PAGE_PORT")},
        "MAIL_PAGE_TOKEN": home.secret(MAIL_PAGE_SECRET),
        "MAIL_FOLDER": str(home.data("mail")),
    }
    return _process("mail", "local.mail", ports["MAIL_PAGE_PORT"], ports["MAIL_OPS_PORT"], environment)


def services(home: Home, ports: Mapping[str, int], postgres: Postgres, nats: Nats) -> list[MeshProcess]:
    """Every service, with what only it needs."""
    own: dict[str, dict[str, str]] = {
        "identity": {
            "KEY_ENCRYPTION_SECRET": home.secret("key-encryption"),
            "STAFF_EMAIL": STAFF_EMAIL,
            "STAFF_PASSWORD": home.secret("staff-password"),
            "SERVICE_CLIENTS": json.dumps({"notifications": home.secret("notifications-client")}),
        },
        "orders": {"CATALOG_ADDRESS": _address("catalog", ports)},
        "notifications": {
            "IDENTITY_ADDRESS": _address("identity", ports),
            "SMTP_URL": f"smtp://{LOOPBACK}:{ports['SMTP_PORT']}",
            "MAIL_FROM": "Meshwright <shop@example.com>",
            "CLIENT_ID": "notifications",
            "CLIENT_SECRET": home.secret("notifications-client"),
        },
    }
    return [_service(name, ports, _stores(name, postgres, nats) | own.get(name, {})) for name in SERVICES]


def edge(ports: Mapping[str, int]) -> MeshProcess:
    """The edge. It answers /readyz on its public port."""
    upstreams = (f"meshwright.{name}.v1.{name.capitalize()}Service={_address(name, ports)}" for name in SERVICES)
    environment = {
        **_tokens(ports),
        "PORT": str(ports["PORT"]),
        "OPS_PORT": "0",
        "API_TITLE": "Meshwright",
        "CONTRACTS": CONTRACTS,
        "UPSTREAMS": ",".join(upstreams),
    }
    return _process("edge", "edge", ports["PORT"], ports["PORT"], environment)


def database_urls(postgres: Postgres) -> dict[str, str]:
    """What mesh.migrations reads: <SERVICE>_DATABASE_URL for each service that has a database."""
    return {f"{name.upper()}_DATABASE_URL": postgres.url(name) for name in WITH_DATABASE}


def _service(name: str, ports: Mapping[str, int], environment: Mapping[str, str]) -> MeshProcess:
    port, ops_port = ports[f"{name.upper()}_PORT"], ports[f"{name.upper()}_OPS_PORT"]
    return _process(name, f"services.{name}", port, ops_port, {**_tokens(ports), "GRPC_PORT": str(port), **environment})


def _process(name: str, module: str, port: int, ops_port: int, environment: Mapping[str, str]) -> MeshProcess:
    own = {**COMMON, "OPS_PORT": str(ops_port), **environment}
    return MeshProcess(name, port, ops_port, (sys.executable, "-m", module), own)


def _address(service: str, ports: Mapping[str, int]) -> str:
    return f"{LOOPBACK}:{ports[f'{service.upper()}_PORT']}"


def _tokens(ports: Mapping[str, int]) -> dict[str, str]:
    edge_url = f"http://{LOOPBACK}:{ports['PORT']}"
    return {
        "JWKS_URL": f"{edge_url}/.well-known/jwks.json",
        "ENDED_TOKENS_URL": f"{edge_url}/v1/oauth2/endedTokens",
        "TOKEN_URL": f"{edge_url}/v1/oauth2/workloadToken",
        "TOKEN_ISSUER": public_url(ports),
    }


def _stores(name: str, postgres: Postgres, nats: Nats) -> dict[str, str]:
    if name not in WITH_DATABASE:
        return {}
    return {"DATABASE_URL": postgres.url(name), "NATS_URL": nats.url(name)}


def migrations() -> tuple[Path, ...]:
    """The files that decide what the databases look like."""
    folders = (Path("mesh/schema"), *(Path("services", name, "migrations") for name in WITH_DATABASE))
    return tuple(sorted(path for folder in folders for path in folder.glob("*.sql")))
