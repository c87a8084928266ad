"""One id leads from the client's answer through the logs of every process that worked for it."""

import asyncio
import re
import uuid

import asyncpg
import pytest

from tests.system.mesh import Client, Mesh, eventually


def lines_of(mesh: Mesh, process: str, request_id: str) -> list[str]:
    """The lines in the log of a process that carry this request id."""
    lines = (mesh.home / "logs" / f"{process}.log").read_text().splitlines()
    return [line for line in map(_plain, lines) if f"request_id={request_id}" in line.split()]


def _plain(line: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", line)


def trace_of(line: str) -> str:
    """The trace id of a line."""
    found = re.search(r"\btrace_id=([0-9a-f]{32})(?:\s|$)", line)
    assert found, line
    return found[1]


def alter_catalog(mesh: Mesh, statement: str) -> None:
    """Changes the catalog's schema, as a migration that went wrong would."""

    async def run() -> None:
        password = (mesh.home / "data" / "postgres" / "passwords" / "catalog").read_text().strip()
        port = mesh.process("postgres").port
        connection = await asyncpg.connect(f"postgresql://catalog:{password}@127.0.0.1:{port}/catalog")
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("given", ["", "support-case/4711"])
def test_the_id_of_a_failed_call_leads_to_the_traceback(mesh: Mesh, staff: Client, anyone: Client, given: str) -> None:
    """A handler that raises: the client gets an id, and the service's log has the traceback under it, the edge's the
    request; both under one trace.
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


def test_the_id_goes_on_to_the_services_that_a_service_calls(mesh: Mesh, staff: Client) -> None:
    """An order that can't be priced: the traceback is the catalog's, which orders has asked."""
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


def test_the_id_of_a_request_leads_to_who_handled_its_event(mesh: Mesh, anyone: Client) -> None:
    """From a registration over REST to the line of the consumer, in the trace that the client had begun."""
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


@pytest.mark.parametrize("given", ["two words", "x" * 129, "line\x7fbreak", 'quote"', "ünïcode"])
def test_an_id_that_is_not_safe_is_replaced(anyone: Client, given: str) -> None:
    """Ids of clients are short and hold nothing that a log or a header could be broken by."""
    answer = anyone.get("/v1/products", params={"pageSize": 1}, headers={b"x-request-id": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
