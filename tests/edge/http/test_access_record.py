"""Access records: an entry in the access log for each call, and metrics with a fixed set of labels."""

import re
from typing import Any

import grpc
import pytest

from tests.edge.backend import Backend
from tests.edge.http.test_http1_protocol import answer_to
from tests.edge.served import Client
from tests.issuer import Issuer

GET = "/v1/shelves/a/books/b"
TEMPLATE = "/v1/{name=shelves/*/books/*}"
GET_BOOK = "library.v1.Library.GetBook"
PROCEDURE = "/library.v1.Library/GetBook"
JSON = {"content-type": "application/json"}
GRPC_WEB = {"content-type": "application/grpc-web+proto"}


def access_records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """Returns the new entries of the access log."""
    lines = [line for line in capsys.readouterr().out.splitlines() if " request " in line]
    return [{name: value.strip("'") for name, value in re.findall(r"(\w+)=('[^']*'|\S*)", line)} for line in lines]


@pytest.mark.parametrize(
    ("method", "url", "options", "expected"),
    [
        ("GET", GET, {}, (TEMPLATE, GET_BOOK, "200", "OK", "0", "2")),
        ("HEAD", GET, {}, (TEMPLATE, GET_BOOK, "200", "OK", "0", "2")),
        ("GET", "/v1/books/missing", {}, ("/v1/books/{name}", GET_BOOK, "404", "NOT_FOUND", "0", None)),
        ("GET", GET, {"headers": {"accept": "a/b"}}, (TEMPLATE, GET_BOOK, "406", "INVALID_ARGUMENT", "0", None)),
        ("GET", GET + "?no=1", {}, (TEMPLATE, GET_BOOK, "400", "INVALID_ARGUMENT", "0", None)),
        ("POST", PROCEDURE, {"content": b"{}", "headers": JSON}, (PROCEDURE, GET_BOOK, "200", "OK", "2", "2")),
        ("POST", PROCEDURE, {"content": bytes(5), "headers": GRPC_WEB}, (PROCEDURE, GET_BOOK, "200", "OK", "5", None)),
        ("POST", PROCEDURE, {"content": b"x"}, (PROCEDURE, GET_BOOK, "415", "UNKNOWN", "0", None)),
        ("GET", "/v1/nothing", {}, ("", "none", "404", "NOT_FOUND", "0", None)),
        ("DELETE", "/v1/echo", {}, ("", "none", "405", "UNIMPLEMENTED", "0", None)),
    ],
)
async def test_a_call_is_logged(
    client: Client,
    backend: Backend,
    capsys: pytest.CaptureFixture[str],
    method: str,
    url: str,
    options: dict[str, Any],
    expected: tuple[str | None, ...],
) -> None:
    """An entry has the method, route, RPC, status, code, sizes, time and request id, for every protocol."""
    backend.lacks(b"missing")
    response = await client.request(method, url, **options)
    (line,) = access_records(capsys)
    route, rpc, status, code, request_bytes, response_bytes = expected
    assert (line["method"], line["route"], line["rpc"]) == (method, route, rpc)
    assert (line["status"], line["code"]) == (status, code)
    assert line["request_bytes"] == request_bytes
    assert line["response_bytes"] == (response_bytes or str(len(response.content)))
    assert float(line["ms"]) >= 0
    assert line["request_id"] == response.headers["x-request-id"]


async def test_the_caller_is_logged(guarded: Client, issuer: Issuer, capsys: pytest.CaptureFixture[str]) -> None:
    """The caller is the subject of a valid token, also of a rejected call, and empty for an invalid token."""
    subjects = []
    for token in (issuer.token("users/ada", "books.write"), issuer.token("users/ada", "other"), "x"):
        await guarded.post("/v1/shelves/a/books", json={}, headers={"authorization": f"Bearer {token}"})
        subjects += [(line["status"], line["caller"]) for line in access_records(capsys)]
    assert subjects == [("201", "users/ada"), ("403", "users/ada"), ("401", "")]


async def test_a_malformed_request_is_logged(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """A malformed request is logged with the status of its rejection."""
    await answer_to(client, b"nonsense\r\n\r\n")
    (line,) = access_records(capsys)
    assert (line["rpc"], line["status"], line["code"]) == ("none", "400", "INVALID_ARGUMENT")


async def test_clients_can_not_create_labels(client: Client, backend: Backend) -> None:
    """Labels of metrics are limited to the contract's RPCs, HTTP statuses and gRPC codes for any request."""
    for number in range(20):
        url = f"/v1/shelves/{number}/books/{number}"
        await client.request(f"M{number}", f"/x{number}")
        await client.get(url, params={f"p{number}": "x"}, headers={f"h{number}": "x"})
        await client.get(url, headers={"x-request-id": f"id{number}"})
        await client.post(f"/library.v1.Library/No{number}", content=b"", headers={"content-type": f"a/b{number}"})
    metrics = (await client.get("/metrics")).text
    labels: dict[str, set[str]] = {"le": set()}
    for line in re.findall(r"^edge_.*$", metrics, re.MULTILINE):
        for name, value in re.findall(r'(\w+)="([^"]*)"', line):
            labels.setdefault(name, set()).add(value)
    assert labels.keys() == {"rpc", "status", "code", "le"}
    assert all(re.fullmatch(r"none|\w+(\.\w+)+", rpc) for rpc in labels["rpc"])
    assert not [rpc for rpc in labels["rpc"] if rpc.endswith(tuple(f"No{number}" for number in range(20)))]
    assert all(re.fullmatch("[1-5][0-9]{2}", status) for status in labels["status"])
    assert labels["code"] <= {code.name for code in grpc.StatusCode}
