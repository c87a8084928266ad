"""The permissions of NATS's users, and its stream and consumers."""

import pytest

from local.declarations.checkout import read_services
from local.declarations.service import Service
from tests import broker_attempts
from tests.cluster.cluster import BROKER_ATTEMPTS, ROOT, stream
from tests.cluster.conftest import Shop

PARTICIPANTS = [service for service in read_services(ROOT) if service.events]


@pytest.mark.parametrize("service", PARTICIPANTS, ids=lambda service: service.name)
def test_a_service_has_its_own_rights_only(shop: Shop, service: Service) -> None:
    """With the credentials in its pod, a service can't publish, read or listen for another, or change the stream."""
    program = ["python", "-c", BROKER_ATTEMPTS.read_text(), *(each.name for each in PARTICIPANTS)]
    said = shop.release.kubectl("exec", f"deployment/shop-{service.workload}", "--", *program)
    assert set(said.splitlines()) == broker_attempts.allowed(
        service.name, publishes=bool(service.publishes), consumes=bool(service.consumes)
    )


def test_the_stream(shop: Shop) -> None:
    """The stream has the subjects of all services, and a consumer for each that reads events."""
    state = stream(shop.release)
    packages = {event.rpartition(".")[0] for service in PARTICIPANTS for event in service.publishes}
    assert state["config"]["subjects"] == sorted(f"{package}.*" for package in packages)
    assert state["state"]["consumer_count"] == sum(bool(service.consumes) for service in PARTICIPANTS)
