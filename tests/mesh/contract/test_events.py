"""The events that the contracts declare, compared with the services' code."""

import importlib
from pathlib import Path

import pytest
from protobuf.wkt import FileDescriptorSet

from mesh.contract.events import Participant, participants, publisher_of

ROOT = Path(__file__).resolve().parents[3]
IMAGE = (ROOT / "gen" / "contracts.binpb").read_bytes()
DECLARED = {each.name: each for each in participants(FileDescriptorSet.from_binary(IMAGE))}
CONSUMING = [path.parent.name for path in sorted((ROOT / "services").glob("*/consumers.py"))]


def test_a_package_has_one_publisher() -> None:
    """The publisher of an event is the service that owns the package, in any version."""
    assert publisher_of("meshwright.orders.v1.OrderPlaced") == "orders"
    assert publisher_of("meshwright.orders.v2.OrderPlaced") == "orders"
    assert publisher_of("Bare") == ""


def test_the_contracts_are_read() -> None:
    """A message with the option is an event; the option names its consumers."""
    consumed = ("RegistrationRepeated", "UserDeleted", "UserRegistered")
    assert DECLARED["notifications"] == Participant(
        "notifications", (), tuple(f"meshwright.identity.v1.{name}" for name in consumed)
    )
    assert DECLARED["orders"].publishes == ("meshwright.orders.v1.OrderCancelled", "meshwright.orders.v1.OrderPlaced")
    assert "information" not in DECLARED


@pytest.mark.parametrize("service", CONSUMING)
def test_the_declared_consumers_match_the_handlers(service: str) -> None:
    """Without a declaration a handler would never be called; without a handler events would become dead letters."""
    consumers = importlib.import_module(f"services.{service}.consumers").Consumers
    handled = consumers.handlers(consumers.__new__(consumers))
    assert sorted(message.desc().type_name for message in handled) == list(DECLARED[service].consumes)


def test_all_declared_consumers_have_handlers() -> None:
    """Every service that the contracts name as a consumer has handlers."""
    assert [name for name, each in sorted(DECLARED.items()) if each.consumes] == CONSUMING
