"""Categories, scheduled prices and cached reads of the catalog on the running mesh, over REST, with two replicas."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from meshwright.catalog.v1.catalog_grpc import CatalogServiceClient
from meshwright.catalog.v1.catalog_pb import GetProductRequest

from mesh.client import Channel
from tests.system.mesh import WAIT_TIMEOUT_S, Client, Mesh, eventually, problem

CHANGES = 30
"""Each would take the 10 seconds of an entry's life without its invalidation: five times as long as the test waits."""


def create_category(staff: Client, parent: str = "") -> str:
    """Creates a category with a unique identifier, and returns its name."""
    category = {"title": "Tools"} | ({"parent": parent} if parent else {})
    answer = staff.post("/v1/categories", params={"categoryId": f"tools-{uuid.uuid4()}"}, json=category)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["name"])


def identifier(category: str) -> str:
    """Returns the identifier in the name of a category."""
    return category.removeprefix("categories/")


def euros(units: int) -> dict[str, Any]:
    """Returns an amount."""
    return {"currencyCode": "EUR", "units": str(units)}


def schedule(staff: Client, product: dict[str, Any], units: int, **times: datetime) -> httpx.Response:
    """Schedules a price."""
    price = {"amount": euros(units)} | {name: time.isoformat() for name, time in times.items()}
    return staff.post(f"/v1/{product['name']}/prices", json=price)


def hits(mesh: Mesh) -> float:
    """Returns the number of reads that the cache of the catalog has answered."""
    url = mesh.process("catalog").readyz_url
    assert url is not None
    metrics = httpx.get(url.replace("/readyz", "/metrics")).text
    found = re.search(r'^catalog_cached_reads_total{outcome="hit"} (\S+)$', metrics, re.MULTILINE)
    return float(found[1]) if found else 0


def test_staff_sorts_products_into_categories(staff: Client, customer: Client, anyone: Client) -> None:
    """Anybody sees the tree, and the products of a category and of those below it; customers can't change it."""
    top = create_category(staff)
    below = create_category(staff, top)
    product = staff.create_product(category=identifier(below))
    assert anyone.get(f"/v1/{below}").json()["ancestors"] == [top]
    listed = anyone.get("/v1/categories", params={"parent": top}).json()["categories"]
    assert [each["name"] for each in listed] == [below]
    found = anyone.get("/v1/products", params={"category": identifier(top)}).json()["products"]
    assert [each["name"] for each in found] == [product["name"]]
    answer = customer.post("/v1/categories", params={"categoryId": "mine"}, json={"title": "Mine"})
    assert problem(answer)[:3] == (403, "PERMISSION_DENIED", "SCOPE_MISSING")
    assert problem(staff.delete(f"/v1/{top}"))[:3] == (400, "FAILED_PRECONDITION", "CATEGORY_IN_USE")


def test_a_read_is_cached_and_revalidated(mesh: Mesh, staff: Client, anyone: Client) -> None:
    """A client that has the current version gets 304 from the cache, and the new version once there is one."""
    product = staff.create_product()
    url = f"/v1/{product['name']}"
    first = anyone.get(url)
    assert first.json() == product
    before = hits(mesh)
    condition = {"if-none-match": first.headers["etag"]}
    again = anyone.get(url, headers=condition)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert hits(mesh) > before
    assert staff.patch(url, params={"updateMask": "title"}, json={"title": "Pruning saw"}).status_code == 200
    changed = anyone.get(url, headers=condition)
    assert (changed.status_code, changed.json()["title"]) == (200, "Pruning saw")
    assert changed.headers["etag"] != first.headers["etag"]


def test_a_scheduled_price_takes_effect_by_itself(staff: Client, customer: Client, anyone: Client) -> None:
    """The cached product shows it from then on, with another ETag, and an order at the price before is refused."""
    product = staff.create_product()
    staff.adjust_stock(product)
    url, seen = f"/v1/{product['name']}", product["price"]
    etag = anyone.get(url).headers["etag"]
    begin = datetime.now(UTC) + timedelta(seconds=2)
    assert schedule(staff, product, 19, validFrom=begin).status_code == 201
    overlapping = schedule(staff, product, 18, validFrom=begin, validUntil=begin + timedelta(days=1))
    assert problem(overlapping)[:3] == (400, "FAILED_PRECONDITION", "PRICES_OVERLAP")
    assert problem(schedule(customer, product, 1))[:2] == (403, "PERMISSION_DENIED")
    eventually(lambda: anyone.get(url, headers={"if-none-match": etag}).status_code == 200)
    reduced = anyone.get(url).json()
    assert (reduced["price"], reduced["regularPrice"]) == (euros(19), seen)
    line = {"product": product["name"], "quantity": 2}
    refused = customer.post("/v1/orders", json={"lines": [line | {"expectedUnitPrice": seen}]})
    assert problem(refused) == (400, "INVALID_ARGUMENT", "LINES_REJECTED", ["lines[0]"])
    assert "now 19.00 EUR" in refused.text
    placed = customer.post("/v1/orders", json={"lines": [line | {"expectedUnitPrice": reduced["price"]}]})
    assert (placed.status_code, placed.json()["total"]) == (201, euros(38))
    customer.wait_for_order(placed.json()["name"], "STATE_CONFIRMED")


async def test_another_replica_sees_changes_at_once(mesh: Mesh, staff: Client) -> None:
    """Each change invalidates the product in the cache of a replica that did not make it."""
    product = staff.create_product()
    request = GetProductRequest(name=product["name"])
    with mesh.replica("catalog") as replica:
        async with Channel("catalog", replica.address) as channel:
            reader = CatalogServiceClient(channel)
            deadline = datetime.now(UTC) + timedelta(seconds=WAIT_TIMEOUT_S)
            for number in range(CHANGES):
                title = f"Saw {number}"
                changed = staff.patch(f"/v1/{product['name']}", params={"updateMask": "title"}, json={"title": title})
                assert changed.status_code == 200, changed.text
                while (await reader.get_product(request)).title != title:
                    assert datetime.now(UTC) < deadline, f"change {number} is not seen"
