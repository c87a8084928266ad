"""tools/compose_secrets.py."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from protobuf.wkt import FileDescriptorSet

from mesh.contract.events import participants
from mesh.events.nats.users import users
from mesh.events.rabbitmq.users import definitions
from mesh.events.rabbitmq.users import users as rabbitmq_users
from tools import compose_secrets
from tools.compose_secrets import main, names
from tools.generation.rabbitmq import VERSION


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the file to which the secrets are written."""
    path = tmp_path / ".env"
    monkeypatch.setattr(compose_secrets, "FILE", path)
    return path


def test_all_secrets_are_made_once_for_the_owner_only(file: Path) -> None:
    """Each has a value of its own, and the second run changes nothing."""
    main()
    made = file.read_text()
    values = dict(line.split("=") for line in made.splitlines())
    assert tuple(values) == names()
    assert len(set(values.values())) == len(names())
    assert file.stat().st_mode & 0o777 == 0o600
    main()
    assert file.read_text() == made


@pytest.mark.parametrize("mode", [0o644, 0o666, 0o640])
def test_a_file_that_others_could_read_is_closed_to_them(file: Path, mode: int) -> None:
    """A file with too wide a mode, such as one written by hand, is closed to others."""
    file.write_text("PORT=8081\n")
    file.chmod(mode)
    main()
    assert file.stat().st_mode & 0o777 == 0o600


def test_what_is_there_stays(file: Path) -> None:
    """Existing lines are kept, also without a newline at the end, and missing variables are added."""
    file.write_text("PORT=8081\nSTAFF_PASSWORD=mine")
    main()
    lines = file.read_text().splitlines()
    assert lines[:2] == ["PORT=8081", "STAFF_PASSWORD=mine"]
    assert [line.partition("=")[0] for line in lines[2:]] == [name for name in names() if name != "STAFF_PASSWORD"]


def test_compose_gives_each_user_of_the_broker_its_own_password() -> None:
    """Each password is known only to the broker and to the container of its user."""
    root = Path(__file__).resolve().parents[2]
    compose = yaml.safe_load((root / "compose.yaml").read_text())
    contracts = FileDescriptorSet.from_binary((root / "gen" / "contracts.binpb").read_bytes()).to_registry()
    expected = {user.name: f"{user.name.upper()}_BROKER_PASSWORD" for user in users(participants(contracts))}
    passwords = dict(line.split(": ") for line in compose["configs"]["nats-passwords"]["content"].splitlines())
    assert passwords == {f"{user.upper()}_PASSWORD": f'"${{{name}}}"' for user, name in expected.items()}
    for user, name in expected.items():
        given = {service for service, each in compose["services"].items() if name in str(each.get("environment", ""))}
        container = {"provisioner": "broker"}.get(user, user)
        assert given == {container}
        assert f"nats://{user}:${{{name}:?" in compose["services"][container]["environment"]["BROKER_URL"]
    assert set(expected.values()) < set(names())


class WithOverrides(yaml.SafeLoader):
    """A loader that reads what Docker Compose overrides as if it were plain."""


def _plain(loader: WithOverrides, node: Any) -> Any:
    return loader.construct_mapping(node, deep=True)


WithOverrides.add_constructor("!override", _plain)


def test_compose_with_rabbitmq_gives_each_user_its_own_password() -> None:
    """The override has a URL for each service that compose.yaml gives one, and RabbitMQ's users are the contracts'."""
    root = Path(__file__).resolve().parents[2]
    compose = yaml.safe_load((root / "compose.yaml").read_text())
    override = yaml.load((root / "compose.rabbitmq.yaml").read_text(), Loader=WithOverrides)
    connected = {name for name, each in compose["services"].items() if "BROKER_URL" in each.get("environment", {})}
    urls = {
        name: each["environment"]["BROKER_URL"]
        for name, each in override["services"].items()
        if "BROKER_URL" in each.get("environment", {})
    }
    assert urls.keys() == connected
    contracts = FileDescriptorSet.from_binary((root / "gen" / "contracts.binpb").read_bytes())
    services = participants(contracts.to_registry())
    for service in services:
        password = f"${{{service.name.upper()}_BROKER_PASSWORD:?run make compose}}"
        assert urls[service.name.replace("_", "-")] == f"amqp://{service.name}:{password}@rabbitmq:5672/"
    assert override["services"]["broker"]["depends_on"] == {"rabbitmq": {"condition": "service_healthy"}}

    def interpolated(text: str) -> str:
        return re.sub(r"\$\{([A-Z0-9_]+)\}|\$\$", lambda found: found[1] or "$", text)

    given = json.loads(interpolated(override["configs"]["rabbitmq-definitions"]["content"]))
    passwords = {user.name: f"{user.name.upper()}_BROKER_PASSWORD" for user in rabbitmq_users(services)}
    assert given == definitions(rabbitmq_users(services), passwords, VERSION)
