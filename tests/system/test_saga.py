"""The saga of orders on the running mesh, over REST: stock, payment and shipping, and what is undone when one fails."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.mesh import Client, Mesh, eventually, problem


@pytest.fixture
def product(staff: Client) -> dict[str, Any]:
    """A product of which there are ten units."""
    created = staff.create_product()
    staff.adjust_stock(created, 10)
    return created


def stock(staff: Client, product: dict[str, Any]) -> tuple[int, int]:
    """Returns how many units of a product are on hand, and how many of them are reserved."""
    answer = staff.get(f"/v1/{product['name']}/stock").json()
    return int(answer.get("onHand", 0)), int(answer.get("reserved", 0))


def payment_of(customer: Client, order: dict[str, Any]) -> dict[str, Any]:
    """Returns the payment of an order."""
    [payment] = customer.get("/v1/payments", params={"order": order["name"]}).json()["payments"]
    found: dict[str, Any] = payment
    return found


def events(client: Client, name: str, last_event_id: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the server-sent events of a watched order: their ids, and the order."""
    headers = {"accept": "text/event-stream"} | ({"last-event-id": last_event_id} if last_event_id else {})
    identifier = ""
    with client.stream("GET", f"/v1/{name}:watch", headers=headers) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line == "event: end":
                return
            if line.startswith("id: "):
                identifier = line.removeprefix("id: ")
            if line.startswith("data: "):
                yield identifier, json.loads(line.removeprefix("data: "))["order"]


def test_an_order_is_paid_and_shipped(staff: Client, customer: Client, product: dict[str, Any]) -> None:
    """Its units leave the stock, its total is captured; then staff ships it, and records what the carrier reports."""
    placed = customer.order(product).json()
    order = customer.wait_for_order(placed["name"], "STATE_CONFIRMED")
    eventually(lambda: stock(staff, product) == (9, 0))
    payment = payment_of(customer, order)
    assert (payment["name"], payment["state"]) == (order["payment"], "STATE_CAPTURED")
    assert payment["captured"] == order["total"]

    shipment = {"carrier": "DHL", "trackingNumber": "00340434161094042557"}
    assert customer.post(f"/v1/{order['name']}:ship", json={"shipment": shipment}).status_code == 403
    shipped = staff.post(f"/v1/{order['name']}:ship", json={"shipment": shipment}).json()
    assert shipped["state"] == "STATE_SHIPPED"
    event = {"kind": "KIND_DELIVERED", "description": "Leipzig"}
    staff.post(f"/v1/{order['name']}:recordShipmentEvent", json={"event": event})
    assert customer.get(f"/v1/{order['name']}").json()["shipment"]["events"][0]["kind"] == "KIND_DELIVERED"
    cancelled = customer.post(f"/v1/{order['name']}:cancel", json={})
    assert problem(cancelled)[:3] == (400, "FAILED_PRECONDITION", "ORDER_STATE")

    changes = customer.get(f"/v1/{order['name']}/changes").json()["changes"]
    steps = [(each["actor"], each["state"], each.get("pendingStep", "")) for each in changes]
    assert steps == [
        (order["customer"], "STATE_PENDING", "PENDING_STEP_STOCK"),
        ("inventory", "STATE_PENDING", "PENDING_STEP_PAYMENT"),
        ("payments", "STATE_CONFIRMED", ""),
        (staff.get("/v1/users/me").json()["name"], "STATE_SHIPPED", ""),
    ]


def test_an_order_without_stock_is_cancelled(staff: Client, customer: Client, product: dict[str, Any]) -> None:
    """Nothing is charged, and nothing of the other products stays reserved."""
    missing = staff.create_product()
    placed = customer.order(product, missing).json()
    order = customer.wait_for_order(placed["name"], "STATE_CANCELLED")
    assert order["cancelReason"] == "CANCEL_REASON_OUT_OF_STOCK"
    assert stock(staff, product) == (10, 0)
    assert customer.get("/v1/payments").json() == {}


def test_a_declined_card_releases_the_stock(staff: Client, customer: Client, product: dict[str, Any]) -> None:
    """The order is cancelled, and its units are available again."""
    placed = customer.order(product, payment_method="card_declined").json()
    order = customer.wait_for_order(placed["name"], "STATE_CANCELLED")
    assert order["cancelReason"] == "CANCEL_REASON_PAYMENT_FAILED"
    eventually(lambda: stock(staff, product) == (10, 0))
    assert payment_of(customer, order)["state"] == "STATE_FAILED"


def test_a_confirmed_order_is_cancelled_and_refunded(staff: Client, customer: Client, product: dict[str, Any]) -> None:
    """A cancelled order returns its units to the stock, and its total to the customer."""
    placed = customer.order(product).json()
    order = customer.wait_for_order(placed["name"], "STATE_CONFIRMED")
    eventually(lambda: stock(staff, product) == (9, 0))
    cancelled = customer.post(f"/v1/{order['name']}:cancel", json={"etag": order["etag"]}).json()
    assert (cancelled["state"], cancelled["cancelReason"]) == ("STATE_CANCELLED", "CANCEL_REASON_CUSTOMER")
    refunded = eventually(lambda: customer.get(f"/v1/{order['name']}").json().get("refunded"))
    assert refunded == order["total"]
    eventually(lambda: stock(staff, product) == (10, 0))
    assert payment_of(customer, order)["refunded"] == order["total"]


def test_a_flagged_payment_waits_for_staff(staff: Client, customer: Client) -> None:
    """Once staff approves, the order is confirmed."""
    yacht = staff.create_product(units=20_000)
    staff.adjust_stock(yacht)
    placed = customer.order(yacht).json()
    order = eventually(lambda: _in_step(customer, placed["name"], "PENDING_STEP_PAYMENT_REVIEW"))
    approved = staff.post(f"/v1/{order['payment']}:review", json={"decision": "DECISION_APPROVE"})
    assert approved.status_code == 200, approved.text
    customer.wait_for_order(placed["name"], "STATE_CONFIRMED")


def test_a_customer_watches_the_order(staff: Client, customer: Client, product: dict[str, Any]) -> None:
    """Server-sent events end with the final state; after a lost stream, only later states are sent."""
    placed = customer.order(product).json()
    seen = [order for _, order in _until(events(customer, placed["name"]), "STATE_CONFIRMED")]
    versions = [int(order["etag"]) for order in seen]
    assert versions == sorted(set(versions))
    assert seen[-1]["state"] == "STATE_CONFIRMED"

    [*_, (identifier, confirmed)] = _until(events(customer, placed["name"]), "STATE_CONFIRMED")
    staff.post(f"/v1/{placed['name']}:ship", json={"shipment": {"carrier": "DHL", "trackingNumber": "1"}})
    [(_, shipped)] = events(customer, placed["name"], identifier)
    assert (shipped["state"], int(shipped["etag"]) > int(confirmed["etag"])) == ("STATE_SHIPPED", True)


def test_the_orders_of_a_deleted_customer_are_cancelled(mesh: Mesh, staff: Client) -> None:
    """A pending one, and its customer's name is removed, because nothing was sold."""
    yacht = staff.create_product(units=20_000)
    staff.adjust_stock(yacht)
    with Client(mesh) as customer:
        customer.register()
        placed = customer.order(yacht).json()
        eventually(lambda: _in_step(customer, placed["name"], "PENDING_STEP_PAYMENT_REVIEW"))
        assert customer.delete("/v1/users/me").status_code == 200
    order = staff.wait_for_order(placed["name"], "STATE_CANCELLED")
    assert (order["cancelReason"], order.get("customer", "")) == ("CANCEL_REASON_CUSTOMER_DELETED", "")
    eventually(lambda: stock(staff, yacht) == (1000, 0))


def _in_step(customer: Client, name: str, step: str) -> dict[str, Any] | None:
    order: dict[str, Any] = customer.get(f"/v1/{name}").json()
    return order if order.get("pendingStep") == step else None


def _until(responses: Iterator[tuple[str, dict[str, Any]]], state: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for identifier, order in responses:
        yield identifier, order
        if order["state"] == state:
            return
