"""compose.yaml: compose.template.yaml with the services that the checkout declares."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from local.declarations.service import Service, workload_name
from mesh.contract.events import Participant
from mesh.events.nats.users import PROVISIONER
from mesh.events.rabbitmq.users import definitions, users
from tools.generation.rabbitmq import VERSION

TEMPLATE: Final = Path(__file__).with_name("compose.template.yaml")
RABBITMQ_TEMPLATE: Final = Path(__file__).with_name("compose.rabbitmq.template.yaml")
HEADER: Final = (
    "# Written by `make generate` from services/*/service.toml, proto/ and tools/generation/{}:\n"
    "# change those, not this file.\n#\n"
)
GRPC_PORT: Final = 9000

_PLACE = re.compile(r"^( *)# %([a-z ]+)%\n", re.MULTILINE)


def write_compose(services: Sequence[Service]) -> str:
    """Returns the text of compose.yaml."""
    return _filled(TEMPLATE, _blocks(services))


def write_compose_rabbitmq(services: Sequence[Service]) -> str:
    """Returns the text of compose.rabbitmq.yaml, which is merged into compose.yaml."""
    named = sorted(services, key=lambda each: each.name)
    participants = [Participant(each.name, each.publishes, each.consumes) for each in named if each.events]
    return _filled(
        RABBITMQ_TEMPLATE,
        {
            "broker urls": _separated([_rabbitmq_url(each.workload, each.name) for each in services if each.events]),
            "rabbitmq definitions": _definitions(participants).splitlines(),
        },
    )


def _filled(template: Path, blocks: Mapping[str, Sequence[str]]) -> str:
    def fill(place: re.Match[str]) -> str:
        return "".join(f"{place[1]}{line}\n" if line else "\n" for line in blocks[place[2]])

    return HEADER.format(template.name) + _PLACE.sub(fill, template.read_text())


def _blocks(services: Sequence[Service]) -> dict[str, list[str]]:
    """Returns the lines for each placeholder of the template."""
    databases = [service for service in services if service.declaration.database]
    upstreams = [f"{name}={service.workload}:{GRPC_PORT}" for service in services for name in service.types]
    return {
        "healthy services": [f"{service.workload}: {{condition: service_healthy}}" for service in services],
        "upstreams": [*(f"{upstream}," for upstream in upstreams[:-1]), *upstreams[-1:]],
        "services": _separated([list(_container(service, services)) for service in services]),
        "databases": [f"- {service.name}" for service in databases],
        "database urls": [
            f"{each.variable}_DATABASE_URL: {_database_url(each, f'${{{each.variable}_DATABASE_PASSWORD}}')}"
            for each in databases
        ],
        "create databases": [*map(_create_role, databases), *map(_create_database, databases), _revoke(databases)],
        "broker passwords": [
            f'{user.upper()}_PASSWORD: "${{{user.upper()}_BROKER_PASSWORD}}"'
            for user in (PROVISIONER, *(service.name for service in services if service.events))
        ],
    }


def _rabbitmq_url(workload: str, user: str) -> list[str]:
    url = f"amqp://{user}:{_secret(f'{user.upper()}_BROKER_PASSWORD')}@rabbitmq:5672/"
    return [f"{workload}:", "  environment:", f"    BROKER_URL: {url}"]


def _definitions(services: Sequence[Participant]) -> str:
    """Returns RabbitMQ's definitions as JSON, in which Compose replaces the passwords and the escaped dollar signs."""
    all_users = users(services)
    holders = {user.name: f"<{user.name.upper()}_BROKER_PASSWORD>" for user in all_users}
    text = json.dumps(definitions(all_users, holders, VERSION), indent=2).replace("$", "$$")
    return re.sub(r"<([A-Z0-9_]+_BROKER_PASSWORD)>", r"${\1}", text)


def _separated(blocks: Sequence[Sequence[str]]) -> list[str]:
    return [line for index, block in enumerate(blocks) for line in ([""] if index else []) + list(block)]


def _container(service: Service, services: Sequence[Service]) -> Iterator[str]:
    yield f"{service.workload}:"
    yield "  <<: *process"
    yield f"  command: [services.{service.name}]"
    if service.declaration.database and service.events:
        yield "  depends_on: *after-stores"
    elif service.declaration.database or service.events:
        store = "migrations" if service.declaration.database else "broker"
        yield f"  depends_on: {{{store}: {{condition: service_completed_successfully}}}}"
    yield "  environment:"
    yield "    <<: *tokens"
    yield from (f"    {name}: {value}" for name, value in _environment(service, services))


def _environment(service: Service, services: Sequence[Service]) -> Iterator[tuple[str, str]]:
    variable = service.variable
    if service.events:
        yield "BROKER_URL", f"nats://{service.name}:{_secret(f'{variable}_BROKER_PASSWORD')}@nats:4222"
    if service.declaration.database:
        yield "DATABASE_URL", _database_url(service, _secret(f"{variable}_DATABASE_PASSWORD"))
    yield from ((f"{callee.upper()}_ADDRESS", f"{workload_name(callee)}:{GRPC_PORT}") for callee in service.callees)
    if service.declaration.mail:
        yield "SMTP_URL", "smtp://mail:8026"
    if service.calls_as_itself:
        yield "TOKEN_URL", "http://edge:8080/v1/oauth2/workloadToken"
        yield "CLIENT_ID", service.name
        yield "CLIENT_SECRET", _secret(f"{variable}_CLIENT_SECRET")
    if service.declaration.issues_tokens:
        clients = {each.name: f"${{{each.variable}_CLIENT_SECRET}}" for each in services if each.calls_as_itself}
        yield "SERVICE_CLIENTS", f"'{json.dumps(clients)}'"
    yield from ((name, _secret(name)) for name in service.declaration.generated_secrets)
    yield from (
        (name, json.dumps(value.replace("$", "$$"))) for name, value in service.declaration.environment().items()
    )


def _secret(name: str) -> str:
    """Returns a reference to a secret of .env. tools/compose_secrets.py generates a secret for each such reference."""
    return f"${{{name}:?run make compose}}"


def _database_url(service: Service, password: str) -> str:
    return f"postgresql://{service.name}:{password}@postgres:5432/{service.name}"


def _create_role(service: Service) -> str:
    return f"CREATE ROLE \"{service.name}\" LOGIN PASSWORD '${{{service.variable}_DATABASE_PASSWORD}}';"


def _create_database(service: Service) -> str:
    return f'CREATE DATABASE "{service.name}" OWNER "{service.name}";'


def _revoke(databases: Sequence[Service]) -> str:
    closed = ", ".join(f'"{name}"' for name in ("postgres", *(each.name for each in databases)))
    return f"REVOKE CONNECT ON DATABASE {closed} FROM PUBLIC;"
