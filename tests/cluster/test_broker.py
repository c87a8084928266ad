"""The permissions of the trial broker's users, and its stream and consumers."""

import pytest

from local.declarations.checkout import read_services
from local.declarations.service import Service
from tests import broker_attempts
from tests.cluster.cluster import BROKER_ATTEMPTS, ROOT, eventually, mails, stream
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


def test_the_provisioner(shop: Shop) -> None:
    """The provisioner is not root, has created the stream and the consumers of all services, and stops on SIGTERM."""
    user = shop.release.kubectl("exec", "deployment/shop-provisioner", "--", "id", "-u")
    assert user.strip() == "10001"
    state = stream(shop.release)
    packages = {event.rpartition(".")[0] for service in PARTICIPANTS for event in service.publishes}
    assert state["config"]["subjects"] == sorted(f"{package}.*" for package in packages)
    assert state["state"]["consumer_count"] == sum(bool(service.consumes) for service in PARTICIPANTS)
    sign_up(shop, "grace@example.com")
    eventually(lambda: "grace@example.com" in mails(shop.release))
    pod = shop.release.pods("provisioner")[0]["metadata"]["name"]
    shop.release.kubectl("delete", "pod", pod, "--timeout=30s")


def test_a_broker_that_lost_its_data(shop: Shop) -> None:
    """Without anybody's help it has the stream and the consumer again, and events arrive."""
    made = stream(shop.release)["created"]
    shop.release.kubectl("exec", "shop-nats-0", "--container=nats", "--", "sh", "-c", "rm -rf /data/*")
    shop.release.kubectl("delete", "pod", "shop-nats-0")
    eventually(shop.release.is_ready)
    eventually(lambda: bool(stream(shop.release).get("created", "") > made))
    sign_up(shop, "lin@example.com")
    eventually(lambda: "lin@example.com" in mails(shop.release))


def sign_up(shop: Shop, email: str) -> None:
    """Registers a user, which publishes an event that leads to a mail."""
    body = {"email": email, "password": "analytical engine", "display_name": "Somebody"}
    shop.client.call("POST", "/v1/users", body=body)
