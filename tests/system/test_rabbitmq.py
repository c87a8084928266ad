"""The store with RabbitMQ in the place of NATS: `make up BROKER=rabbitmq`."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.system.mesh import ROOT, Client, Mesh, check_invariants, eventually, temporary_home


@pytest.fixture(scope="module")
def rabbitmq_mesh() -> Iterator[Mesh]:
    """Starts a mesh of its own and waits until it is ready."""
    with temporary_home() as home, Mesh.running(home, BROKER="rabbitmq") as running:
        yield running


def registered(mesh: Mesh) -> str:
    """Registers a customer and returns the address."""
    with Client(mesh) as client:
        client.register()
        return client.email


def test_a_welcome_mail_follows_a_registration(rabbitmq_mesh: Mesh) -> None:
    """An event gets from its publisher by the exchange of its type to its consumer; NATS does not run."""
    email = registered(rabbitmq_mesh)
    assert len(eventually(lambda: rabbitmq_mesh.mails(email))) == 1
    with pytest.raises(StopIteration):
        rabbitmq_mesh.process("nats")


@pytest.mark.parametrize("victim", ["rabbitmq", "notifications"])
async def test_a_kill_delays_the_mail_only(rabbitmq_mesh: Mesh, victim: str) -> None:
    """Each mail is sent when the killed process is back, and once unless its sender was killed right after it."""
    before = [registered(rabbitmq_mesh) for _ in range(3)]
    rabbitmq_mesh.kill(victim)
    if victim == "rabbitmq":  # no public write needs the broker
        before.append(registered(rabbitmq_mesh))
    else:
        await rabbitmq_mesh.end_leases(victim)
    rabbitmq_mesh.wait_until_ready(victim)
    for email in [*before, registered(rabbitmq_mesh)]:
        sent = eventually(partial(rabbitmq_mesh.mails, email))
        assert len(sent) == 1 or victim == "notifications"


@pytest.fixture(scope="module")
def product(rabbitmq_mesh: Mesh) -> dict[str, Any]:
    """Returns a product that is in stock."""
    with Client(rabbitmq_mesh) as staff:
        staff.sign_in(*rabbitmq_mesh.staff_login())
        created = staff.create_product()
        staff.adjust_stock(created)
        return created


@pytest.fixture
def buyer(rabbitmq_mesh: Mesh) -> Iterator[Client]:
    """Returns a client signed in as a customer who has just registered."""
    with Client(rabbitmq_mesh) as client:
        client.register()
        yield client


@pytest.mark.parametrize(
    ("payment_method", "state", "reason"),
    [
        ("card_ok", "STATE_CONFIRMED", None),
        ("card_declined", "STATE_CANCELLED", "CANCEL_REASON_PAYMENT_FAILED"),
    ],
)
async def test_an_order_is_decided(
    rabbitmq_mesh: Mesh, buyer: Client, product: dict[str, Any], payment_method: str, state: str, reason: str | None
) -> None:
    """The events of its stock and its payment confirm it, or cancel it and release the stock."""
    placed = buyer.order(product, payment_method=payment_method).json()
    assert buyer.wait_for_order(placed["name"], state).get("cancelReason") == reason
    await check_invariants(rabbitmq_mesh)


async def test_an_order_without_stock_is_cancelled(rabbitmq_mesh: Mesh, buyer: Client, product: dict[str, Any]) -> None:
    """Nothing is charged, and nothing of the other product stays reserved."""
    with Client(rabbitmq_mesh) as staff:
        staff.sign_in(*rabbitmq_mesh.staff_login())
        missing = staff.create_product()
    placed = buyer.order(product, missing).json()
    order = buyer.wait_for_order(placed["name"], "STATE_CANCELLED")
    assert order["cancelReason"] == "CANCEL_REASON_OUT_OF_STOCK"
    assert buyer.get("/v1/payments").json() == {}
    await check_invariants(rabbitmq_mesh)


async def test_orders_go_on_after_a_kill_of_the_broker(
    rabbitmq_mesh: Mesh, buyer: Client, product: dict[str, Any]
) -> None:
    """Orders are placed while the broker dies and is away; each is confirmed when it is back."""
    placed = [buyer.order(product) for _ in range(3)]
    rabbitmq_mesh.kill("rabbitmq")
    placed += [buyer.order(product) for _ in range(3)]
    rabbitmq_mesh.wait_until_ready("rabbitmq")
    assert [answer.status_code for answer in placed] == [201] * 6
    for answer in placed:
        buyer.wait_for_order(answer.json()["name"], "STATE_CONFIRMED")
    await check_invariants(rabbitmq_mesh)


def test_events_are_followed(rabbitmq_mesh: Mesh, buyer: Client, product: dict[str, Any]) -> None:
    """`make events` prints a new order, which is confirmed all the same."""
    following = subprocess.Popen(
        [sys.executable, "-m", "local", "events", "orders"],
        cwd=ROOT,
        env=os.environ | {"MESH_HOME": str(rabbitmq_mesh.home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert following.stdout is not None, "it is a pipe"
        os.set_blocking(following.stdout.fileno(), False)
        placed: set[str] = set()

        def followed() -> dict[str, Any] | None:
            placed.add(buyer.order(product).json()["name"])  # it shows only events published after it has begun
            line = following.stdout.readline() if following.stdout else ""
            return json.loads(line) if line.endswith("\n") else None

        event = eventually(followed)
    finally:
        following.terminate()
        following.communicate(timeout=30)
    assert event["data"]["order"]["name"] in placed
    buyer.wait_for_order(event["data"]["order"]["name"], "STATE_CONFIRMED")
