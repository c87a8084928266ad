"""The chart's broker: each service is a user of its own, with the rights that the contracts give it."""

import asyncio
import base64
import json
import re
import sysconfig
from pathlib import Path
from typing import Any, Final

import yaml
from protobuf.wkt import FileDescriptorSet

from mesh.contract.events import participants
from mesh.events.nats.users import configuration, users
from tests.chart.render import template

ROOT: Final = Path(__file__).resolve().parents[2]
SERVICES: Final = participants(FileDescriptorSet.from_binary((ROOT / "gen" / "contracts.binpb").read_bytes()))


def secrets() -> dict[str, dict[str, str]]:
    """The Secrets of a default installation, by name, decoded."""
    done = template()
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, str]] = {}
    for each in filter(None, yaml.safe_load_all(done.stdout)):
        if each["kind"] == "Secret":
            data = {name: base64.b64decode(value).decode() for name, value in each.get("data", {}).items()}
            found[each["metadata"]["name"]] = data | each.get("stringData", {})
    return found


def test_each_service_knows_its_own_password_only() -> None:
    """The broker's Secret has them all; a service's has the URL of its own user."""
    found = secrets()
    passwords = {service.name: found["shop-nats"][service.name] for service in SERVICES}
    assert len(set(passwords.values())) == len(passwords)
    for name, password in passwords.items():
        assert found[f"shop-{name}"]["BROKER_URL"] == f"nats://{name}:{password}@shop-nats:4222"
    for name, data in found.items():
        known = {user for user, password in passwords.items() if password in json.dumps(data)}
        assert name == "shop-nats" or known <= {name.removeprefix("shop-")}, name


async def test_the_broker_takes_the_configuration(tmp_path: Path) -> None:
    """The rendered files are what the contracts say, and NATS reads them."""
    files: dict[str, Any] = {}
    for each in filter(None, yaml.safe_load_all(template().stdout)):
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
