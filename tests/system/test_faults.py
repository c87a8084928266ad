"""Faults of the running mesh, made by killing and pausing its real processes: nothing acknowledged is lost, nothing is
done twice, and callers get clear errors meanwhile.
"""

import contextlib
import threading
import uuid
from collections.abc import Iterator

import httpx
import pytest

from demo.faults import suspended
from local.declarations.checkout import read_services
from tests.system.mesh import ROOT, Client, Mesh, eventually, problem

SERVICES = [service.name for service in read_services(ROOT)]


class Load:
    """Customers who place orders one after the other, each under a request_id of its own, until the block ends.

    An attempt that fails is repeated under its id until it is acknowledged, as a careful client does.
    """

    CLIENTS = 4

    def __init__(self, customer: Client, product: dict[str, str]) -> None:
        self._customer = customer
        self._product = product
        self._stop = threading.Event()
        self.acknowledged: dict[str, str] = {}
        self.failures: list[httpx.Response] = []
        self._threads = [threading.Thread(target=self._run) for _ in range(self.CLIENTS)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            request_id = str(uuid.uuid4())
            answer = self._customer.order(self._product, request_id=request_id)
            while answer.status_code != 201:
                self.failures.append(answer)
                self._stop.wait(0.05)
                answer = self._customer.order(self._product, request_id=request_id)
            self.acknowledged[request_id] = answer.json()["name"]


def all_orders(customer: Client) -> list[str]:
    """The names of all orders of this customer."""
    names, token = [], ""
    while True:
        page = customer.get("/v1/orders", params={"pageSize": 1000} | ({"pageToken": token} if token else {}))
        assert page.status_code == 200, page.text
        names += [order["name"] for order in page.json().get("orders", [])]
        if not (token := page.json().get("nextPageToken", "")):
            return names


@contextlib.contextmanager
def paused(mesh: Mesh, name: str) -> Iterator[None]:
    """A process, with those it has started, that is there and does nothing, as after a network partition."""
    with suspended(mesh.process(name)) as happened:
        assert happened
        yield


@pytest.mark.parametrize("victim", ["orders", "catalog", "postgres"])
def test_no_order_is_lost_or_doubled_by_a_kill(mesh: Mesh, staff: Client, customer: Client, victim: str) -> None:
    """kill -9 under load: callers that are not answered get 503 in the error shape; no order is lost or there twice."""
    product = staff.create_product()
    staff.adjust_stock(product, 100_000)
    restarts = {name: mesh.process(name).restarts for name in SERVICES}
    with Load(customer, product) as load:
        eventually(lambda: len(load.acknowledged) > 20)
        mesh.kill(victim)
        mesh.wait_until_ready(victim)
        before = len(load.acknowledged)
        eventually(lambda: len(load.acknowledged) > before + 20)
    for failure in load.failures:
        assert problem(failure)[:2] == (503, "UNAVAILABLE"), failure.text
        assert int(failure.headers["retry-after"]) >= 1
    orders = all_orders(customer)
    assert sorted(orders) == sorted(load.acknowledged.values()), "one order an acknowledged request_id, no other"
    expected = restarts | ({victim: restarts[victim] + 1} if victim in restarts else {})
    assert {name: mesh.process(name).restarts for name in SERVICES} == expected, "nobody else had to be restarted"


@pytest.mark.parametrize(("victim", "path"), [("identity", "/v1/users/me"), ("information", "/v1/information")])
def test_a_killed_service_comes_back(mesh: Mesh, customer: Client, victim: str, path: str) -> None:
    """Its methods answer 503 until it is back; other services continue with cached keys and tokens."""
    assert customer.get(path).status_code == 200
    mesh.kill(victim)
    while (answer := customer.get(path)).status_code != 200:
        assert problem(answer)[:2] == (503, "UNAVAILABLE"), answer.text
        assert customer.get("/v1/orders").status_code == 200
    mesh.wait_until_ready(victim)


def test_a_killed_edge_comes_back(mesh: Mesh, customer: Client) -> None:
    """The edge holds nothing that its restart could lose."""
    mesh.kill("edge")

    def answers() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return customer.get("/v1/information").status_code == 200
        return False

    eventually(answers)


def test_a_killed_broker_delays_the_mail_only(mesh: Mesh, staff: Client) -> None:
    """With NATS killed registering and ordering succeed; each mail is sent when it is back, once."""
    product = staff.create_product()
    mesh.kill("nats")
    with Client(mesh) as customer:
        customer.register()
        placed = customer.order(product)
        assert placed.status_code == 201
        mesh.wait_until_ready("nats")
        customer.confirm_address()
        eventually(lambda: len(mesh.mails(customer.email)) >= 2)
        with Client(mesh) as later:
            later.register()
            eventually(lambda: mesh.mails(later.email))
        # The product is not in stock, so that the order is cancelled.
        subjects = sorted(mail["subject"] for mail in mesh.mails(customer.email))
        assert subjects == ["Welcome to Meshwright", f"Your order {placed.json()['uid'][:8]} is cancelled"]


def test_a_broker_that_hangs_delays_the_mail_only(mesh: Mesh) -> None:
    """With a broker that accepts connections and hangs, requests succeed, and the mail is sent once, later."""
    with Client(mesh) as customer:
        with paused(mesh, "nats"):
            customer.register()
            assert mesh.mails(customer.email) == []
        eventually(lambda: mesh.mails(customer.email))
        with Client(mesh) as later:
            later.register()
            eventually(lambda: mesh.mails(later.email))
        assert len(mesh.mails(customer.email)) == 1


async def test_a_killed_consumer_sends_each_mail_once(mesh: Mesh) -> None:
    """notifications is killed while mails are due; all are sent by its successor."""
    with contextlib.ExitStack() as stack:
        customers = [stack.enter_context(Client(mesh)) for _ in range(5)]
        for number, customer in enumerate(customers):
            customer.register()
            if number == 2:
                mesh.kill("notifications")
                await mesh.end_leases("notifications")
        eventually(lambda: all(mesh.mails(customer.email) for customer in customers))


def test_mail_waits_for_its_server(mesh: Mesh) -> None:
    """With the mail server away registering succeeds, and the mail is tried again until it is back."""
    with Client(mesh) as customer:
        with paused(mesh, "mail"):
            customer.register()
        eventually(lambda: mesh.mails(customer.email))


def test_a_database_that_hangs_is_unavailable(mesh: Mesh, customer: Client) -> None:
    """A database that accepts connections and hangs costs callers their deadline; calls succeed once it responds."""
    with paused(mesh, "postgres"):
        status, name, _, _ = problem(customer.get("/v1/orders"))
        assert (status, name) in {(503, "UNAVAILABLE"), (504, "DEADLINE_EXCEEDED")}
    eventually(lambda: customer.get("/v1/orders").status_code == 200)
