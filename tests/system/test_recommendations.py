"""Recommendations on the running mesh, over REST: from the orders that they are learned from to the experiment."""

import os
import signal
from collections import Counter
from typing import Any

from tests.system.mesh import Client, Mesh, eventually, problem

EXPERIMENT = "recommendations.ranking-1"
METRICS = {"metric": "METRIC_EXPOSURES", "interval": "INTERVAL_DAY", "groupBy": "DIMENSION_VARIANT"}


def buy(customer: Client, *products: dict[str, Any]) -> dict[str, Any]:
    """Orders one of each product, and waits until the order is paid."""
    name = customer.order(*products).json()["name"]
    return customer.wait_for_order(name, "STATE_CONFIRMED")


def recommended(client: Client, url: str, reason: str = "BOUGHT_TOGETHER") -> list[str]:
    """Returns the products that are recommended for a reason."""
    response = client.get(url)
    assert response.status_code == 200, response.text
    assert not response.json().get("degraded")
    listed = response.json().get("recommendations", [])
    return [each["product"] for each in listed if each["reason"] == f"REASON_{reason}"]


def stocked(staff: Client) -> dict[str, Any]:
    """Returns a new product of which there are enough."""
    product = staff.create_product()
    staff.adjust_stock(product)
    return product


def test_what_is_bought_together_is_recommended(staff: Client, customer: Client, other: Client, anyone: Client) -> None:
    """Products bought together are recommended within seconds, by product and to buyers, until one is withdrawn."""
    saw, oil, blade = (stocked(staff) for _ in range(3))
    buy(customer, saw, oil)
    url = f"/v1/{saw['name']}:recommend"
    eventually(lambda: recommended(anyone, url) == [oil["name"]])
    model = anyone.get(url).json()["model"]
    buy(customer, saw, blade)
    buy(customer, saw, blade)
    eventually(lambda: recommended(anyone, f"{url}?maxResults=1") == [blade["name"]])
    assert int(anyone.get(url).json()["model"]["version"]) > int(model["version"])
    buy(other, blade)
    eventually(lambda: saw["name"] in recommended(other, "/v1/products:recommend"))
    assert blade["name"] not in recommended(other, "/v1/products:recommend", "BESTSELLER")
    assert staff.delete(f"/v1/{blade['name']}").status_code == 200
    eventually(lambda: recommended(anyone, url) == [oil["name"]])


def test_without_the_service_the_list_is_empty(mesh: Mesh, customer: Client, anyone: Client) -> None:
    """While the service hangs or is dead, the response is marked as degraded, and is never an error."""
    urls = {"/v1/products/4f8e1c0a-8a53-4a6b-9c55-0242ac120002:recommend": anyone, "/v1/products:recommend": customer}
    pid = mesh.process("recommendations").pid
    assert pid is not None

    def degraded() -> list[Any]:
        responses = [client.get(url) for url, client in urls.items()]
        assert [response.status_code for response in responses] == [200, 200], responses
        return [response.json().get("degraded", False) for response in responses]

    assert degraded() == [False, False]
    os.kill(pid, signal.SIGSTOP)
    try:
        assert degraded() == [True, True]
        assert problem(anyone.get("/v1/products:recommend"))[:2] == (401, "UNAUTHENTICATED")
    finally:
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: degraded() == [False, False])
    mesh.kill("recommendations")
    eventually(lambda: degraded() == [False, False] and mesh.process("recommendations").pid not in (pid, None))


def counts(staff: Client, metric: str) -> Counter[str]:
    """Returns what analytics has counted for each variant of the experiment."""
    response = staff.get("/v1/metrics:query", params=METRICS | {"metric": metric, "experiment": EXPERIMENT})
    assert response.status_code == 200, response.text
    listed = response.json().get("series", [])
    return Counter({each["group"]: int(each["total"]["count"]) for each in listed})


def test_the_result_of_the_experiment_can_be_read(mesh: Mesh, staff: Client, customer: Client, anyone: Client) -> None:
    """A user has one variant for good. Seeing it counts once, and so does the first order after it."""
    saw, oil = stocked(staff), stocked(staff)
    buy(customer, saw, oil)
    url = f"/v1/{saw['name']}:recommend"
    eventually(lambda: recommended(anyone, url))
    shown, converted = counts(staff, "METRIC_EXPOSURES"), counts(staff, "METRIC_CONVERSIONS")
    seen: Counter[str] = Counter()
    for number in range(6):
        with Client(mesh) as shopper:
            shopper.register()
            treatments = [shopper.get(each).json()["treatment"] for each in (url, "/v1/products:recommend", url)]
            assert treatments == [treatments[0]] * 3
            assert treatments[0]["experiment"] == EXPERIMENT
            seen[treatments[0]["variant"]] += 1
            if number == 0:
                buy(shopper, saw)
                buy(shopper, oil)
                bought = Counter([treatments[0]["variant"]])
    eventually(lambda: counts(staff, "METRIC_EXPOSURES") - shown == seen)
    eventually(lambda: counts(staff, "METRIC_CONVERSIONS") - converted == bought)
    result = staff.get(f"/v1/experiments/{EXPERIMENT}").json()
    assert {each["variant"]: int(each["exposureCount"]) for each in result["variants"]} == counts(
        staff, "METRIC_EXPOSURES"
    )
