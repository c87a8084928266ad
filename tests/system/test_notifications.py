"""Notifications and webhooks on the running mesh, over REST."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.system.mesh import Client, Mesh, eventually, problem, temporary_home


class Receiver(ThreadingHTTPServer):
    """A receiver of webhooks on loopback."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], str]] = []
        super().__init__(("127.0.0.1", 0), Receiving)

    @property
    def url(self) -> str:
        """Returns its URL."""
        return f"http://127.0.0.1:{self.server_port}/hook"


class Receiving(BaseHTTPRequestHandler):
    """A request of a webhook."""

    server: Receiver

    def do_POST(self) -> None:
        """Accepts a message."""
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        self.server.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Starts a receiver."""
    with Receiver() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def reachable_mesh() -> Iterator[Mesh]:
    """Starts a mesh that may send webhooks to loopback."""
    with (
        temporary_home() as home,
        Mesh.running(home, WEBHOOK_HTTP_ALLOWED="true", WEBHOOK_NETWORKS_ALLOWED="127.0.0.0/8") as running,
    ):
        yield running


def cancelled_order(customer: Client, staff: Client) -> dict[str, Any]:
    """Places an order and cancels it."""
    product = staff.create_product()
    order = customer.post("/v1/orders", json={"lines": [{"product": product["name"], "quantity": 2}]}).json()
    answer = customer.post(f"/v1/{order['name']}:cancel", json={})
    assert answer.status_code == 200, answer.text
    cancelled: dict[str, Any] = answer.json()
    return cancelled


def test_a_cancelled_order_is_notified(mesh: Mesh, customer: Client, staff: Client) -> None:
    """The notification is in the app, unread until it is marked, and in a mail."""
    customer.confirm_address()
    order = cancelled_order(customer, staff)

    def unread() -> list[dict[str, Any]]:
        listed = customer.get("/v1/notifications", params={"unreadOnly": True}).json().get("notifications", [])
        return [each for each in listed if each.get("resource") == order["name"]]

    [notification] = eventually(unread)
    assert notification["kind"] == "NOTIFICATION_KIND_ORDER_CANCELLED"
    read = customer.post(f"/v1/{notification['name']}:markRead", json={}).json()
    assert read["readTime"]
    assert unread() == []
    eventually(lambda: notification["subject"] in [mail["subject"] for mail in mesh.mails(customer.email)])


def test_a_stream_of_notifications_resumes(customer: Client, staff: Client) -> None:
    """Server-sent events continue after the last id that was received."""

    def first_event(last_event_id: str = "") -> tuple[str, dict[str, Any]]:
        headers = {"accept": "text/event-stream"} | ({"last-event-id": last_event_id} if last_event_id else {})
        identifier = ""
        with customer.stream("GET", "/v1/notifications:watch", headers=headers) as response:
            for line in response.iter_lines():
                if line.startswith("id: "):
                    identifier = line.removeprefix("id: ")
                if line.startswith("data: "):
                    return identifier, json.loads(line.removeprefix("data: "))["notification"]
        raise AssertionError("the stream ended")

    identifier, welcome = first_event()
    assert welcome["kind"] == "NOTIFICATION_KIND_WELCOME"
    order = cancelled_order(customer, staff)
    _, later = first_event(identifier)
    assert later["resource"] == order["name"]


@pytest.mark.parametrize(
    "url", ["http://example.com/", "https://127.0.0.1/", "https://localhost/", "https://[::1]/", "https://10.0.0.1/"]
)
def test_a_webhook_to_a_private_address_is_rejected(customer: Client, url: str) -> None:
    """The mesh does not call itself, unless its settings allow it."""
    answer = customer.post("/v1/webhookEndpoints", json={"url": url})
    assert problem(answer) == (400, "INVALID_ARGUMENT", "INVALID_FIELD", ["url"])


def test_orders_are_sent_to_webhooks(reachable_mesh: Mesh, receiver: Receiver) -> None:
    """Signed with the endpoint's secret; the delivery log has them, and one can be sent again."""
    with Client(reachable_mesh) as customer, Client(reachable_mesh) as staff:
        customer.register()
        staff.sign_in(*reachable_mesh.staff_login())
        answer = customer.post("/v1/webhookEndpoints", json={"url": receiver.url})
        assert answer.status_code == 201, answer.text
        endpoint = answer.json()["name"]
        secret = customer.get(f"/v1/{endpoint}/secret").json()["secret"]
        order = cancelled_order(customer, staff)
        eventually(lambda: len(receiver.received) == 2)
        messages = [Webhook(secret).verify(body, headers) for headers, body in receiver.received]
        assert {message["type"] for message in messages} == {"order.placed", "order.cancelled"}
        assert {message["data"]["name"] for message in messages} == {order["name"]}

        def deliveries() -> list[dict[str, Any]]:
            listed: list[dict[str, Any]] = customer.get(f"/v1/{endpoint}/deliveries").json()["deliveries"]
            return listed

        eventually(lambda: [each["state"] for each in deliveries()] == ["STATE_SUCCEEDED"] * 2)
        again = customer.post(f"/v1/{deliveries()[0]['name']}:redeliver", json={}).json()
        eventually(lambda: len(receiver.received) == 3)
        assert receiver.received[2][0]["webhook-id"] == again["webhookId"]


@pytest.mark.timeout(300)
async def test_no_webhook_is_lost_when_the_service_is_killed(reachable_mesh: Mesh, receiver: Receiver) -> None:
    """A service that is killed while it delivers has a successor that delivers the rest, with the same ids."""
    orders = 10
    with Client(reachable_mesh) as customer, Client(reachable_mesh) as staff:
        customer.register()
        staff.sign_in(*reachable_mesh.staff_login())
        wanted = {"url": receiver.url, "eventTypes": ["order.placed"]}
        endpoint = customer.post("/v1/webhookEndpoints", json=wanted).json()["name"]
        product = staff.create_product()
        for number in range(orders):
            customer.post("/v1/orders", json={"lines": [{"product": product["name"], "quantity": 1}]})
            if number == orders // 2:
                eventually(lambda: receiver.received)
                reachable_mesh.kill("notifications")
                await reachable_mesh.end_leases("notifications")
        reachable_mesh.wait_until_ready("notifications")
        eventually(lambda: len({headers["webhook-id"] for headers, _ in receiver.received}) == orders, 240)
        listed = customer.get(f"/v1/{endpoint}/deliveries").json()["deliveries"]
        assert {each["webhookId"] for each in listed} == {headers["webhook-id"] for headers, _ in receiver.received}
