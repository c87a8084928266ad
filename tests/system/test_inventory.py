"""The stock of the shop on the running mesh, over REST."""

import contextlib
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from demo.faults import suspended
from tests.system.mesh import Client, Mesh, eventually, problem

BUYERS = 16


def adjusted(client: Client, product: dict[str, Any], delta: int, request_id: str = "") -> httpx.Response:
    """Adjusts the stock of a product."""
    headers = {"idempotency-key": request_id} if request_id else {}
    adjustment = {"delta": delta, "reason": "REASON_COUNTED", "note": "Shelf 3"}
    return client.post(f"/v1/{product['name']}/stock:adjust", json={"adjustment": adjustment}, headers=headers)


def settled(customer: Client, name: str) -> dict[str, Any]:
    """Waits until an order is no longer pending, and returns it."""

    def ended() -> dict[str, Any] | None:
        order: dict[str, Any] = customer.get(f"/v1/{name}").json()
        return None if order["state"] == "STATE_PENDING" else order

    order: dict[str, Any] = eventually(ended)
    return order


def wait_until_sold(staff: Client, product: dict[str, Any]) -> None:
    """Waits until no unit of a product is on hand, or reserved."""

    def sold() -> bool:
        stock = staff.get(f"/v1/{product['name']}/stock").json()
        return int(stock.get("onHand", 0)) == int(stock.get("reserved", 0)) == 0

    eventually(sold)


def test_staff_keeps_the_stock(staff: Client, customer: Client, anyone: Client) -> None:
    """Adjustments count once, and are listed with their author; anybody can read the available number."""
    saw, rake = staff.create_product(), staff.create_product()
    request_id = str(uuid.uuid4())
    for _ in range(2):
        assert adjusted(staff, saw, 7, request_id).json()["onHand"] == "7"
    assert problem(adjusted(staff, saw, -8))[:3] == (400, "FAILED_PRECONDITION", "STOCK_SHORT")
    assert problem(adjusted(customer, saw, 1))[:2] == (403, "PERMISSION_DENIED")
    requests = [
        {"name": f"{product['name']}/stock", "adjustment": {"delta": 300, "reason": "REASON_RECEIVED"}}
        for product in (rake, saw)
    ]
    batch = staff.post("/v1/stock:batchAdjust", json={"requests": requests}).json()
    assert [(each["product"], each["available"]) for each in batch["stock"]] == [
        (rake["name"], "300"),
        (saw["name"], "307"),
    ]
    listed = staff.get(f"/v1/{saw['name']}/stock/adjustments").json()["adjustments"]
    me = staff.get("/v1/users/me").json()["name"]
    assert [(each["delta"], each["actor"]) for each in listed] == [(300, me), (7, me)]
    assert anyone.get(f"/v1/{saw['name']}/availability").json()["units"] == 100
    assert problem(anyone.get(f"/v1/{saw['name']}/stock"))[:2] == (401, "UNAUTHENTICATED")


def test_what_runs_low_is_proposed_and_watched(staff: Client, customer: Client) -> None:
    """An order that takes stock to its level is listed, proposed and streamed; a lost stream resumes at the refill."""
    saw = staff.create_product()
    adjusted(staff, saw, 6)
    level = {"reorderLevel": 5, "reorderQuantity": 10}
    assert staff.patch(f"/v1/{saw['name']}/stock", json=level).json()["reorderLevel"] == 5

    def first(identifier: str = "") -> tuple[str, dict[str, Any]]:
        headers = {"accept": "text/event-stream"} | ({"last-event-id": identifier} if identifier else {})
        with staff.stream("GET", "/v1/stock:watchLow", headers=headers) as response:
            for line in response.iter_lines():
                if line.startswith("id: "):
                    identifier = line.removeprefix("id: ")
                if line.startswith("data: "):
                    change = json.loads(line.removeprefix("data: "))
                    if change["stock"]["product"] == saw["name"]:
                        return identifier, change
        raise AssertionError("the stream ended")

    assert customer.order(saw).status_code == 201
    identifier, change = first()
    assert (change["low"], change["stock"]["available"]) == (True, "5")
    low = staff.get("/v1/stock", params={"lowOnly": True, "pageSize": 1000}).json()["stock"]
    assert saw["name"] in {each["product"] for each in low}
    proposals = staff.get("/v1/stock:reorderProposals", params={"pageSize": 1000}).json()["proposals"]
    assert [each["quantity"] for each in proposals if each["product"] == saw["name"]] == ["10"]
    adjusted(staff, saw, 10)
    _, change = first(identifier)
    assert "low" not in change or change["low"] is False


def test_the_last_unit_is_sold_once(mesh: Mesh, staff: Client) -> None:
    """Of many concurrent orders for the last unit one succeeds; the others are out of stock."""
    saw = staff.create_product()
    adjusted(staff, saw, 1)
    with contextlib.ExitStack() as stack:
        buyers = [stack.enter_context(Client(mesh)) for _ in range(BUYERS)]
        for buyer in buyers:
            buyer.register()
        with ThreadPoolExecutor(BUYERS) as pool:
            placed = [answer.json()["name"] for answer in pool.map(lambda buyer: buyer.order(saw), buyers)]
        orders = [settled(buyer, name) for buyer, name in zip(buyers, placed, strict=True)]
    outcomes = sorted((order["state"], order.get("cancelReason", "")) for order in orders)
    rejected = ("STATE_CANCELLED", "CANCEL_REASON_OUT_OF_STOCK")
    assert outcomes == [rejected] * (BUYERS - 1) + [("STATE_CONFIRMED", "")]
    wait_until_sold(staff, saw)


def test_without_the_service_the_stock_is_unknown(mesh: Mesh, staff: Client, customer: Client, anyone: Client) -> None:
    """While inventory hangs, products are served, their stock is unknown, and orders wait for it."""
    saw = staff.create_product()
    adjusted(staff, saw, 3)
    url = f"/v1/{saw['name']}/availability"
    with suspended(mesh.process("inventory")) as happened:
        assert happened
        assert anyone.get(url).json() == {"unknown": True}
        assert anyone.get(f"/v1/{saw['name']}").json()["title"] == saw["title"]
        placed = customer.order(saw).json()
        assert customer.get(f"/v1/{placed['name']}").json()["pendingStep"] == "PENDING_STEP_STOCK"
    assert settled(customer, placed["name"])["state"] == "STATE_CONFIRMED"
    eventually(lambda: anyone.get(url).json() == {"name": url.removeprefix("/v1/"), "units": 2})


def test_no_unit_is_lost_when_inventory_is_killed(mesh: Mesh, staff: Client, customer: Client) -> None:
    """Each order is confirmed or cancelled in the end, and the stock is what is left."""
    saw, rake = staff.create_product(), staff.create_product()
    for product in (saw, rake):
        adjusted(staff, product, 12)
    placed = []
    for number in range(20):
        placed.append(customer.order(*((saw, rake) if number % 2 else (rake, saw))).json()["name"])
        if number % 10 == 4:
            mesh.kill("inventory")
        if number % 10 == 9:
            mesh.wait_until_ready("inventory")
    orders = [settled(customer, name) for name in placed]
    assert sum(order["state"] == "STATE_CONFIRMED" for order in orders) == 12
    for product in (saw, rake):
        wait_until_sold(staff, product)
