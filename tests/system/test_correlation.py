"""One id leads from the client's response to the logs of every process that worked on the request."""

import asyncio
import re
import uuid

import pytest

from tests.system.mesh import Client, Mesh, eventually


def lines_of(mesh: Mesh, process: str, request_id: str) -> list[str]:
    """Returns the log lines of a process with this request id."""
    lines = (mesh.home / "logs" / f"{process}.log").read_text().splitlines()
    return [line for line in map(_plain, lines) if f"request_id={request_id}" in line.split()]


def _plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def trace_of(line: str) -> str:
    """Returns the trace id of a line."""
    found = re.search(r"\btrace_id=([0-9a-f]{32})(?:\s|$)", line)
    assert found, line
    return found[1]


def alter_catalog(mesh: Mesh, statement: str) -> None:
    """Changes the catalog's schema, as a faulty migration would."""
    asyncio.run(mesh.execute("catalog", statement))


@pytest.mark.parametrize("given", ["", "support-case/4711"])
def test_the_id_of_a_failed_call_leads_to_the_traceback(mesh: Mesh, staff: Client, anyone: Client, given: str) -> None:
    """If a handler raises, the client gets an id under which the service has logged the traceback and the edge the
    request, with the same trace id.
    """
    product = staff.create_product()
    alter_catalog(mesh, "ALTER TABLE products RENAME COLUMN currency TO broken")
    try:
        answer = anyone.get(f"/v1/{product['name']}", headers={"x-request-id": given} if given else {})
    finally:
        alter_catalog(mesh, "ALTER TABLE products RENAME COLUMN broken TO currency")
    assert (answer.status_code, answer.json()["error"]["status"]) == (500, "INTERNAL")
    request_id = answer.headers["x-request-id"]
    assert request_id == (given or request_id)
    [failure] = eventually(lambda: lines_of(mesh, "catalog", request_id))
    assert "handler failed" in failure
    log = _plain((mesh.home / "logs" / "catalog.log").read_text())
    assert "UndefinedColumnError" in log.partition(failure)[2].partition("handler failed")[0]
    [request] = eventually(lambda: lines_of(mesh, "edge", request_id))
    assert trace_of(request) == trace_of(failure)


def test_the_id_is_forwarded_to_called_services(mesh: Mesh, staff: Client) -> None:
    """If an order can't be priced, the id leads to the traceback of the catalog, which orders has called."""
    product = staff.create_product()
    request_id = f"order-{uuid.uuid4()}"
    alter_catalog(mesh, "ALTER TABLE products RENAME COLUMN currency TO broken")
    try:
        body = {"lines": [{"product": product["name"], "quantity": 1}]}
        answer = staff.post("/v1/orders", json=body, headers={"x-request-id": request_id})
    finally:
        alter_catalog(mesh, "ALTER TABLE products RENAME COLUMN broken TO currency")
    assert (answer.status_code, answer.headers["x-request-id"]) == (500, request_id)
    assert "handler failed" in eventually(lambda: lines_of(mesh, "catalog", request_id))[0]


def test_the_id_of_a_request_leads_to_the_consumer_of_its_event(mesh: Mesh, anyone: Client) -> None:
    """The id of a registration by REST is in the log of the consumer, with the trace that the client began."""
    request_id, trace = f"signup-{uuid.uuid4()}", uuid.uuid4().hex
    headers = {"x-request-id": request_id, "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    user = {"email": f"{uuid.uuid4().hex}@example.com", "password": "correct horse battery", "display_name": "Ada"}
    answer = anyone.post("/v1/users", json=user, headers=headers)
    assert (answer.status_code, answer.headers["x-request-id"]) == (201, request_id)
    handled = eventually(
        lambda: [line for line in lines_of(mesh, "notifications", request_id) if "event handled" in line]
    )
    assert "UserRegistered" in handled[0]
    assert {trace_of(line) for line in (*handled, *lines_of(mesh, "edge", request_id))} == {trace}


def test_the_id_of_an_order_leads_to_its_confirmation(mesh: Mesh, staff: Client) -> None:
    """Through the events of all services, and the payment, which waits in a table for its worker."""
    product = staff.create_product()
    staff.adjust_stock(product)
    request_id, trace = f"order-{uuid.uuid4()}", uuid.uuid4().hex
    headers = {"x-request-id": request_id, "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    body = {"lines": [{"product": product["name"], "quantity": 1}]}
    assert staff.post("/v1/orders", json=body, headers=headers).status_code == 201

    def lines(process: str, state: str) -> list[str]:
        return [line for line in lines_of(mesh, process, request_id) if f"state={state}" in line.split()]

    confirmed = eventually(lambda: lines("orders", "confirmed"))
    assert {trace_of(line) for line in (*confirmed, *lines("payments", "captured"))} == {trace}
    assert lines("payments", "captured")
    assert eventually(lambda: lines("inventory", "committed"))


@pytest.mark.parametrize("given", ["two words", "x" * 129, "line\x7fbreak", 'quote"', "ünïcode"])
def test_an_id_that_is_not_safe_is_replaced(anyone: Client, given: str) -> None:
    """Ids of clients are only used if they are short and safe in logs and headers."""
    answer = anyone.get("/v1/products", params={"pageSize": 1}, headers={b"x-request-id": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
