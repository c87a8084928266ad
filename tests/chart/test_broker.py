"""The chart's broker: each service is a user of its own, with the rights that the contracts give it."""

import asyncio
import base64
import json
import re
import sysconfig
from pathlib import Path
from typing import Any, Final

import pytest
from protobuf.wkt import FileDescriptorSet

from local.rabbitmq import RabbitMQServer
from mesh.contract.events import participants
from mesh.errors import Unavailable
from mesh.events import connect
from mesh.events.nats.users import configuration, users
from mesh.events.rabbitmq.users import definitions
from mesh.events.rabbitmq.users import users as rabbitmq_users
from tests.broker import RABBITMQ_ADMIN
from tests.chart.render import objects, objects_as_they_are, template
from tools.generation.rabbitmq import VERSION

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICES: Final = participants(
    FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes()).to_registry()
)


RABBITMQ: Final = ("--set=nats.enabled=false,rabbitmq.enabled=true",)


def secrets(*arguments: str) -> dict[str, dict[str, str]]:
    """The Secrets of an installation, by name, decoded."""
    done = template(*arguments)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = {}
    for each in objects_as_they_are(done.stdout):
        if each["kind"] == "Secret":
            data = {name: base64.b64decode(value).decode() for name, value in each.get("data", {}).items()}
            found[each["metadata"]["name"]] = data | each.get("stringData", {})
    return found


@pytest.mark.parametrize(
    ("server", "url", "arguments"),
    [("shop-nats", "nats://{}:{}@shop-nats:4222", ()), ("shop-rabbitmq", "amqp://{}:{}@shop-rabbitmq:5672/", RABBITMQ)],
)
def test_each_service_knows_its_own_password_only(server: str, url: str, arguments: tuple[str, ...]) -> None:
    """The broker's Secret has them all; a service's has the URL of its own user."""
    found = secrets(*arguments)
    passwords = {service.name: found[server][service.name] for service in SERVICES}
    assert len(set(passwords.values())) == len(passwords)
    for name, password in passwords.items():
        assert found[f"shop-{name}"]["BROKER_URL"] == url.format(name, password)
    for name, data in found.items():
        known = {user for user, password in passwords.items() if password in json.dumps(data)}
        assert name == server or known <= {name.removeprefix("shop-")}, name


def test_rabbitmq_gets_the_users_of_the_contracts() -> None:
    """RabbitMQ's definitions are derived from the contracts, with the passwords of the Secret."""
    secret = secrets(*RABBITMQ)["shop-rabbitmq"]
    all_users = rabbitmq_users(SERVICES)
    passwords = {user.name: secret[user.name] for user in all_users}
    assert json.loads(secret["definitions.json"]) == definitions(all_users, passwords, VERSION)


def test_there_is_one_broker() -> None:
    """Enabling both brokers is an error with a remedy; enabling one leaves no object of the other."""
    both = template("--set=rabbitmq.enabled=true")
    assert "nats and rabbitmq are both enabled" in both.stderr
    assert "nats" not in {
        each["metadata"]["labels"].get("app.kubernetes.io/name") for each in objects(template(*RABBITMQ).stdout)
    }


async def test_rabbitmq_takes_the_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server starts with the rendered settings, but for its addresses and the paths of a container."""
    text = next(
        each["data"]["rabbitmq.conf"]
        for each in objects(template(*RABBITMQ).stdout)
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "shop-rabbitmq"
    )
    for ours, local in {
        "listeners.tcp.default = 5672": "listeners.tcp.1 = {host}:{port}",
        "/configuration/definitions.json": "{definitions}",
    }.items():
        assert ours in text
        text = text.replace(ours, local)
    monkeypatch.setattr("local.rabbitmq.CONFIGURATION", text)
    async with RabbitMQServer(tmp_path, [RABBITMQ_ADMIN]) as server, connect(server.url("admin"), "admin") as broker:
        with pytest.raises(Unavailable, match="ChannelNotFoundEntity"):
            await broker.subscribe("nothing", [])


async def test_the_broker_takes_the_configuration(tmp_path: Path) -> None:
    """The rendered files agree with the contracts, and NATS accepts them."""
    files: dict[str, Any] = {}
    for each in objects_as_they_are(template().stdout):
        if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "shop-nats":
            files = each["data"]
    assert files["nats-users.conf"] == configuration(users(SERVICES))
    for name, text in {**files, "passwords.conf": secrets()["shop-nats"]["passwords.conf"]}.items():
        (tmp_path / name).write_text(re.sub(r'"/(?:data|configuration)', f'"{tmp_path}', text))
    server = Path(sysconfig.get_path("scripts"), "nats-server")
    checked = await asyncio.create_subprocess_exec(
        str(server), "--config", str(tmp_path / "nats.conf"), "-t", stderr=asyncio.subprocess.PIPE
    )
    _, errors = await checked.communicate()
    assert checked.returncode == 0, errors.decode()
