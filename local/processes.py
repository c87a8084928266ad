"""The table of the processes of `make up`: the edge, the mail server, and the services that the checkout declares."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from local.brokers import BrokerServer, unused_ports
from local.declarations import ports as declared_ports
from local.declarations.image import IMAGE
from local.declarations.service import Service
from local.declarations.service_name import variables_of_ports
from local.home import Home
from local.ports import LOOPBACK
from local.postgres import Postgres
from local.supervised_process import MeshProcess

MAIL_PAGE_SECRET = "mail-page"
MESH_MIGRATIONS = Path("mesh", "migrations", "schema")  # mesh.migrations would import the migrator at each start
Services: TypeAlias = Sequence[Service]

COMMON = {
    "HOST": LOOPBACK,
    "LISTEN_HOST": LOOPBACK,
    "LOG_FORMAT": "text",
    "SHUTDOWN_GRACE_S": "3",
    "TOKEN_AUDIENCE": "meshwright",
}


def public_url(ports: Mapping[str, int]) -> str:
    """Returns the public URL of the edge."""
    return f"http://localhost:{ports['PORT']}"


def mail_url(home: Home, ports: Mapping[str, int]) -> str:
    """Returns the URL of the page with the mails. Its path is a secret."""
    return f"http://localhost:{ports['MAIL_PAGE_PORT']}/{home.secret(MAIL_PAGE_SECRET)}/"


def mail(home: Home, ports: Mapping[str, int]) -> MeshProcess:
    """Returns the process of the mail server."""
    environment = {
        **{name: str(ports[name]) for name in ("SMTP_PORT", "MAIL_PAGE_PORT")},
        "MAIL_PAGE_TOKEN": home.secret(MAIL_PAGE_SECRET),
        "MAIL_FOLDER": str(home.data("mail")),
    }
    return _process("mail", "local.mail", ports["MAIL_PAGE_PORT"], ports["MAIL_OPS_PORT"], environment)


def port_variables(services: Services) -> dict[str, int]:
    """Returns the default ports by the variables that set them, without those of brokers that do not run."""
    ports = {name: port for name, port in declared_ports.OTHERS.items() if name not in unused_ports()}
    for service in services:
        ports |= zip(variables_of_ports(service.name), (service.port, service.ops_port), strict=True)
    return ports


def service(
    service: Service,
    all_services: Services,
    home: Home,
    ports: Mapping[str, int],
    postgres: Postgres,
    broker: BrokerServer,
) -> MeshProcess:
    """Returns the process of a service, with the settings that only it needs."""
    port, ops_port = (ports[variable] for variable in variables_of_ports(service.name))
    environment = {
        **_tokens(ports),
        "GRPC_PORT": str(port),
        **{f"{callee.upper()}_ADDRESS": _address(callee, ports) for callee in service.callees},
        **service.declaration.environment(),
        **{variable: home.secret(secret_file(variable)) for variable in service.declaration.generated_secrets},
    }
    if service.declaration.database:
        environment["DATABASE_URL"] = postgres.url(service.name)
    if service.events:
        environment["BROKER_URL"] = broker.url(service.name)
    if service.declaration.mail:
        environment["SMTP_URL"] = f"smtp://{LOOPBACK}:{ports['SMTP_PORT']}"
    if service.declaration.sms:
        environment["SMS_FOLDER"] = str(home.data("sms"))
    if service.calls_as_itself:
        environment |= {"CLIENT_ID": service.name, "CLIENT_SECRET": home.secret(_client_secret_file(service))}
    if service.declaration.issues_tokens:
        clients = {each.name: home.secret(_client_secret_file(each)) for each in all_services if each.calls_as_itself}
        environment["SERVICE_CLIENTS"] = json.dumps(clients)
    return _process(service.workload, f"services.{service.name}", port, ops_port, environment)


def edge(services: Services, ports: Mapping[str, int]) -> MeshProcess:
    """Returns the process of the edge, which serves /readyz on its public port."""
    upstreams = (f"{name}={_address(service.name, ports)}" for service in services for name in service.types)
    environment = {
        **_tokens(ports),
        "PORT": str(ports["PORT"]),
        "OPS_PORT": "0",
        "API_TITLE": "Meshwright",
        "PAGE_LINKS": f"Mail=http://localhost:{ports['MAIL_PAGE_PORT']}/",
        "CONTRACTS": IMAGE,
        "UPSTREAMS": ",".join(upstreams),
    }
    return _process("edge", "edge", ports["PORT"], ports["PORT"], environment)


def database_urls(services: Services, postgres: Postgres) -> dict[str, str]:
    """Returns the environment of mesh.migrations: <SERVICE>_DATABASE_URL for each service that has a database."""
    return {f"{each.variable}_DATABASE_URL": postgres.url(each.name) for each in services if each.declaration.database}


def secret_file(variable: str) -> str:
    """Returns the name of the file that keeps a generated secret: key-encryption for KEY_ENCRYPTION_SECRET."""
    return variable.removesuffix("_SECRET").lower().replace("_", "-")


def staff_email(services: Services) -> str:
    """Returns the email of the staff's account, which the service that creates it declares; empty if none does."""
    declared = [service.declaration.environment() for service in services]
    return next((each["STAFF_EMAIL"] for each in declared if "STAFF_EMAIL" in each), "")


def _client_secret_file(service: Service) -> str:
    return f"{service.workload}-client"


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


def migrations(services: Services) -> tuple[Path, ...]:
    """Returns the files that define the schemas of the databases."""
    own = (Path("services", service.name, "migrations") for service in services if service.declaration.database)
    return tuple(sorted(path for folder in (MESH_MIGRATIONS, *own) for path in folder.glob("*.sql")))
