"""The notifications of an order on the running mesh, from its confirmation to its refund."""

from typing import Any

from tests.system.mesh import Client, Mesh, eventually


def test_an_order_is_notified_from_its_confirmation_to_its_refund(mesh: Mesh, customer: Client, staff: Client) -> None:
    """Each step of an order is a notification in the app and a mail."""
    customer.confirm_address()
    product = staff.create_product()
    staff.adjust_stock(product, 10)
    shipped = customer.wait_for_order(customer.order(product).json()["name"], "STATE_CONFIRMED")
    shipment = {"carrier": "DHL", "trackingNumber": "00340434161094042557"}
    assert staff.post(f"/v1/{shipped['name']}:ship", json={"shipment": shipment}).status_code == 200
    refunded = customer.wait_for_order(customer.order(product).json()["name"], "STATE_CONFIRMED")
    assert customer.post(f"/v1/{refunded['name']}:cancel", json={}).status_code == 200

    def kinds(order: dict[str, Any]) -> list[str]:
        listed = customer.get("/v1/notifications").json().get("notifications", [])
        found = [each["kind"] for each in reversed(listed) if each.get("resource") == order["name"]]
        return [kind.removeprefix("NOTIFICATION_KIND_") for kind in found]

    eventually(lambda: kinds(shipped) == ["ORDER_CONFIRMED", "ORDER_SHIPPED"])
    eventually(lambda: sorted(kinds(refunded)) == ["ORDER_CANCELLED", "ORDER_CONFIRMED", "REFUND_ISSUED"])
    eventually(lambda: len([mail for mail in mesh.mails(customer.email) if "order" in mail["subject"]]) == 5)
