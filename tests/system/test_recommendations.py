"""Recommendations on the running mesh, over REST: from the orders that they are learned from to the experiment."""

from typing import Any

from tests.system.mesh import Client, eventually


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
    """Within seconds, to anybody by the product and to those who bought it, until it is withdrawn."""
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
