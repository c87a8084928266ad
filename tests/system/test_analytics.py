"""Analytics on the running mesh: events of browsers, metrics, live sales and the log of events, over REST."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.system.mesh import Client, Mesh, eventually


def event(page: str, **fields: Any) -> dict[str, Any]:
    """Returns the event of a page that was viewed now."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"eventId": str(uuid.uuid4()), "type": "TYPE_PAGE_VIEW", "eventTime": now, "page": page} | fields


def ingest(client: Client, *events: dict[str, Any]) -> dict[str, Any]:
    """Sends events, each as a line of its own."""
    lines = "".join(json.dumps({"events": [each]}) + "\n" for each in events)
    answer = client.post("/v1/events:ingest", content=lines, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 200, answer.text
    received: dict[str, Any] = answer.json()
    return received


def counted(staff: Client, metric: str, **query: Any) -> int:
    """Returns the sum of a metric over the last hour."""
    answer = staff.get("/v1/metrics:query", params={"metric": metric, "interval": "INTERVAL_MINUTE", **query})
    assert answer.status_code == 200, answer.text
    return sum(int(point["measures"]["count"]) for each in answer.json().get("series", []) for point in each["points"])


def test_events_of_browsers_are_counted_once(mesh: Mesh, customer: Client, staff: Client) -> None:
    """With and without a token, a repeated event counts once, and an invalid one is reported."""
    page = f"/{uuid.uuid4().hex}"
    first, second = event(page), event(page)
    old = event(page, eventTime=(datetime.now(UTC) - timedelta(days=30)).isoformat().replace("+00:00", "Z"))
    with Client(mesh) as anybody:
        assert ingest(anybody, first, old)["rejections"][0]["reason"] == "EVENT_TIME_OUT_OF_RANGE"
    answer = ingest(customer, first, second, second)
    assert (answer["acceptedCount"], answer["duplicateCount"]) == ("1", "2")
    assert counted(staff, "METRIC_PAGE_VIEWS", groupBy="DIMENSION_PAGE", groups=page) == 2
    assert customer.get("/v1/metrics:query", params={"metric": "METRIC_PAGE_VIEWS"}).status_code == 403


def test_a_sale_is_counted_watched_and_logged(customer: Client, staff: Client) -> None:
    """An order appears in the metrics, in the stream of live sales, and in the audit log."""
    product = staff.create_product()
    staff.adjust_stock(product, 10)
    with staff.stream("GET", "/v1/sales:watch", headers={"accept": "text/event-stream"}) as response:
        assert response.status_code == 200
        order = customer.wait_for_order(customer.order(product).json()["name"], "STATE_CONFIRMED")
        for line in response.iter_lines():
            if line.startswith("data: ") and order["name"] in line:
                break
    of_product = {"groupBy": "DIMENSION_PRODUCT", "groups": product["name"]}
    eventually(lambda: counted(staff, "METRIC_ORDERS_CONFIRMED", **of_product) == 1)

    def logged() -> list[str]:
        found = staff.get("/v1/auditEntries", params={"aggregate": order["name"]}).json().get("auditEntries", [])
        return [each["type"] for each in found]

    eventually(lambda: {"OrderPlaced", "PaymentRequested", "OrderConfirmed"} <= set(logged()))
