"""Payments on the running mesh, over REST: test cards, refunds, reports, and a service that is killed."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import psutil
import pytest

from mesh.standard_webhooks import signed_headers
from tests.system.mesh import Client, Mesh, eventually, problem


@pytest.fixture
def product(staff: Client) -> dict[str, Any]:
    """A product of which there are many units."""
    created = staff.create_product()
    staff.adjust_stock(created, 100)
    return created


def payment_of(client: Client, order: str) -> dict[str, Any]:
    """Returns the payment of an order."""
    [payment] = client.get("/v1/payments", params={"order": order}).json()["payments"]
    found: dict[str, Any] = payment
    return found


def hundredths(money: dict[str, Any]) -> int:
    """Returns an amount in hundredths."""
    return int(money.get("units", 0)) * 100 + int(money.get("nanos", 0)) // 10**7


def balances(staff: Client, payment: str) -> dict[str, int]:
    """Returns the balance of each account from the entries of one payment."""
    entries = staff.get("/v1/ledgerEntries", params={"payment": payment}).json().get("entries", [])
    accounts: dict[str, int] = {}
    for entry in entries:
        accounts[entry["account"]] = accounts.get(entry["account"], 0) + hundredths(entry["amount"])
    return accounts


@pytest.mark.parametrize("card", ["card_late", "card_timeout", "card_unknown", "card_twice"])
def test_a_card_with_troubles_is_charged_once(
    staff: Client, customer: Client, product: dict[str, Any], card: str
) -> None:
    """The order is confirmed, and the books have one capture."""
    order = customer.wait_for_order(customer.order(product, payment_method=card).json()["name"], "STATE_CONFIRMED")
    total = hundredths(order["total"])
    assert balances(staff, order["payment"]) == {"provider": total, "sales": -total}


def test_staff_refund_a_part(staff: Client, customer: Client, product: dict[str, Any]) -> None:
    """A partial refund is made once for each Idempotency-Key, up to the paid amount. The order shows it, and is not
    cancelled.
    """
    order = customer.wait_for_order(customer.order(product).json()["name"], "STATE_CONFIRMED")
    part = {"reason": "Scratched", "amount": {"currencyCode": order["total"]["currencyCode"], "units": 1}}
    headers = {"idempotency-key": str(uuid.uuid4())}
    url = f"/v1/{order['payment']}:refund"
    assert customer.post(url, json=part).status_code == 403
    answers = [staff.post(url, json=part, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    refunded = eventually(lambda: customer.get(f"/v1/{order['name']}").json().get("refunded"))
    assert hundredths(refunded) == 100
    assert customer.get(f"/v1/{order['name']}").json()["state"] == "STATE_CONFIRMED"
    too_much = staff.post(url, json={"reason": "Scratched", "amount": order["total"]})
    assert problem(too_much)[:3] == (400, "FAILED_PRECONDITION", "REFUND_EXCEEDS_PAYMENT")


def test_only_the_provider_reports(mesh: Mesh, customer: Client, anyone: Client, product: dict[str, Any]) -> None:
    """A report needs a signature over the body as it was sent, in headers that the edge forwards."""
    order = customer.wait_for_order(customer.order(product).json()["name"], "STATE_CONFIRMED")
    charge = order["payment"].removeprefix("payments/")
    body = json.dumps({"type": "charge.updated", "charge": charge}, indent=3).encode()
    secret = psutil.Process(mesh.process("payments").pid).environ()["PROVIDER_REPORT_SECRET"].encode()
    json_type = {"content-type": "application/json"}

    def report(key: bytes, sent: bytes) -> Any:
        headers = signed_headers(f"msg_{uuid.uuid4().hex}", datetime.now(UTC), body, [key])
        return anyone.post("/v1/payments:report", content=sent, headers={**headers, **json_type})

    assert report(secret, body).status_code == 200
    unsigned = anyone.post("/v1/payments:report", content=body, headers=json_type)
    for refused in (unsigned, report(b"a guess of the secret", body), report(secret, body + b" ")):
        assert problem(refused)[:3] == (401, "UNAUTHENTICATED", "SIGNATURE_INVALID")


def test_only_staff_see_why_a_payment_is_flagged(staff: Client, customer: Client, other: Client) -> None:
    """Its customer sees that it is under review; others see nothing."""
    yacht = staff.create_product(units=20_000)
    staff.adjust_stock(yacht)
    order = customer.order(yacht).json()["name"]
    eventually(lambda: customer.get(f"/v1/{order}").json().get("pendingStep") == "PENDING_STEP_PAYMENT_REVIEW")
    seen = payment_of(customer, order)
    assert (seen["state"], seen.get("riskFindings")) == ("STATE_IN_REVIEW", None)
    [finding] = payment_of(staff, order)["riskFindings"]
    assert finding["rule"] == "AMOUNT"
    assert other.get("/v1/payments", params={"order": order}).json() == {}
    assert other.get(f"/v1/{seen['name']}").status_code == 404
    declined = staff.post(f"/v1/{seen['name']}:review", json={"decision": "DECISION_DECLINE"}).json()
    assert (declined["state"], declined["failure"]) == ("STATE_FAILED", "FAILURE_RISK")
    customer.wait_for_order(order, "STATE_CANCELLED")
    assert balances(staff, seen["name"]) == {}


async def test_a_killed_service_charges_once(
    mesh: Mesh, staff: Client, customer: Client, product: dict[str, Any]
) -> None:
    """After a kill at any moment, each order is confirmed and the ledger has one capture for it."""
    placed = []
    for _ in range(3):
        placed += [customer.order(product, payment_method="card_timeout").json()["name"] for _ in range(4)]
        mesh.kill("payments")
        await mesh.end_leases("payments")
        mesh.wait_until_ready("payments")
    for name in placed:
        order = customer.wait_for_order(name, "STATE_CONFIRMED")
        total = hundredths(order["total"])
        assert balances(staff, order["payment"]) == {"provider": total, "sales": -total}
