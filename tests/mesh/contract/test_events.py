"""The events that the contracts declare, compared with the services' code."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from protobuf.wkt import FileDescriptorSet

from mesh.contract.events import Participant, participants, publisher_of

ROOT = Path(__file__).resolve().parents[3]
IMAGE = (ROOT / "gen" / "contracts.binpb").read_bytes()
DECLARED = {each.name: each for each in participants(FileDescriptorSet.from_binary(IMAGE).to_registry())}
CONSUMING = sorted({path.relative_to(ROOT / "services").parts[0] for path in (ROOT / "services").glob("*/consumers*")})


def handled(service: str) -> Iterator[str]:
    """Yields the types of events that a service's consumers have handlers for: classes, or a function of the module."""
    package = importlib.import_module(f"services.{service}.consumers")
    paths = getattr(package, "__path__", [])
    names = [package.__name__, *(found.name for found in pkgutil.iter_modules(paths, f"{package.__name__}."))]
    for module in map(importlib.import_module, names):
        if hasattr(module, "handlers"):
            yield from (message.desc().type_name for message in module.handlers())
        for each in vars(module).values():
            if isinstance(each, type) and each.__module__ == module.__name__ and hasattr(each, "handlers"):
                yield from (message.desc().type_name for message in each.handlers(object.__new__(each)))


def test_a_package_has_one_publisher() -> None:
    """The publisher of an event is the service that owns the package, in any version."""
    assert publisher_of("meshwright.orders.v1.OrderPlaced") == "orders"
    assert publisher_of("meshwright.orders.v2.OrderPlaced") == "orders"
    assert publisher_of("Bare") == ""


def test_the_contracts_are_read() -> None:
    """A message with the option is an event; the option names its consumers."""
    assert DECLARED["support"] == Participant(
        "support", ("meshwright.support.v1.MessagePosted",), ("meshwright.identity.v1.UserDeleted",)
    )
    names = ("OrderCancelled", "OrderConfirmed", "OrderPlaced", "OrderShipped", "PaymentRequested")
    assert DECLARED["orders"].publishes == tuple(f"meshwright.orders.v1.{name}" for name in names)
    assert "information" not in DECLARED


@pytest.mark.parametrize("service", CONSUMING)
def test_the_declared_consumers_match_the_handlers(service: str) -> None:
    """Without a declaration a handler would never be called; without a handler events would become dead letters."""
    assert sorted(handled(service)) == list(DECLARED[service].consumes)


def test_all_declared_consumers_have_handlers() -> None:
    """Every service that the contracts name as a consumer has handlers."""
    assert [name for name, each in sorted(DECLARED.items()) if each.consumes] == CONSUMING
