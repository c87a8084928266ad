"""The policies of methods, and rejections in the audit log."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from edge.contract.contract import Contract, read
from local.ports import free_port
from tests.edge.backend import Backend, Context, Received, backend_of
from tests.edge.command import process, run, wait_until_ready
from tests.edge.contracts import compile_image
from tests.edge.served import Client, edge_of
from tests.issuer import Issuer

CONTRACT = """
syntax = "proto3";
package policies.v1;

import "google/api/annotations.proto";
import "meshwright/policy/v1/policy.proto";

service Policies {
  rpc Lenient(Words) returns (Words) {
    option (google.api.http) = {post: "/v1/lenient" body: "*"};
    option (meshwright.policy.v1.method) = {public: true ignore_unknown_fields: true};
  }
  rpc Strict(Words) returns (Words) {
    option (google.api.http) = {post: "/v1/strict" body: "*"};
    option (meshwright.policy.v1.method) = {public: true};
  }
  rpc News(Words) returns (Words) {
    option (google.api.http) = {get: "/v1/news"};
    option (meshwright.policy.v1.method) = {public: true long_poll: true};
  }
  rpc Advise(Words) returns (Advice) {
    option idempotency_level = NO_SIDE_EFFECTS;
    option (google.api.http) = {get: "/v1/advice"};
    option (meshwright.policy.v1.method) = {public: true degraded_field: "is_degraded"};
  }
}

message Advice {
  repeated string words = 1;
  bool is_degraded = 20;
  repeated bool flags = 3;
}

message Words {
  string word = 1;
}
"""


@pytest.fixture
def contract(tmp_path: Path) -> Contract:
    """Returns the contract, whose image is in tmp_path."""
    return read(compile_image(CONTRACT, tmp_path))


@pytest.fixture
async def service(contract: Contract) -> AsyncIterator[Backend]:
    """Returns a service that answers with the request."""
    async with backend_of(contract.registry) as backend:
        yield backend


@pytest.mark.parametrize(
    "body",
    [
        {"json": {"word": "a", "other": {"deep": [1]}}},
        {"data": {"word": "a", "other": "b", "word.x": "c", "a[b]": "d"}},
        {"content": "word=a&other=b&other=c"},
        {"json": {"word": "a"}, "params": {"other": "b"}},
    ],
)
async def test_a_method_may_ignore_unknown_fields(contract: Contract, service: Backend, body: dict[str, Any]) -> None:
    """The policy applies to every kind of body and to the query; other methods of the contract reject unknown
    fields.
    """
    headers = {"content-type": "application/x-www-form-urlencoded"} if "content" in body else {}
    async with edge_of(contract, service.port) as client:
        lenient = await client.post("/v1/lenient", headers=headers, **body)
        strict = await client.post("/v1/strict", headers=headers, **body)
    assert (lenient.status_code, lenient.json()) == (200, {"word": "a"})
    assert strict.status_code == 400


async def test_a_repeated_known_field_is_still_rejected(contract: Contract, service: Backend) -> None:
    """To ignore unknown fields does not mean to choose between two values of a known one."""
    async with edge_of(contract, service.port) as client:
        for body in ({"content": "word=a&word=b"}, {"content": "word=a&word="}):
            headers = {"content-type": "application/x-www-form-urlencoded"}
            fields = await client.violations("POST", "/v1/lenient", headers=headers, **body)
            assert fields == {"word": "FIELD_GIVEN_TWICE"}


async def test_long_polls_end_when_the_edge_stops(tmp_path: Path, contract: Contract, service: Backend) -> None:
    """Long polls end with an error that asks to retry, and do not delay the stop."""
    asked = asyncio.Event()

    async def never(_: Received, __: Context) -> bytes:
        asked.set()
        await asyncio.Event().wait()
        return b""

    service.answer = never
    port = free_port()
    arguments = ("--contracts", tmp_path / "test.proto.binpb", "--upstream", f"*=127.0.0.1:{service.port}")
    environment = {"SHUTDOWN_GRACE_S": "300", "LOG_LEVEL": "error"}
    async with process(*arguments, "--port", str(port), **environment) as edge, httpx.AsyncClient() as client:
        await wait_until_ready(f"http://127.0.0.1:{port}")
        poll = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/v1/news", timeout=60))
        await asked.wait()
        edge.send_signal(signal.SIGTERM)
        answer = await poll
        assert await edge.wait() == 0
    assert (answer.status_code, answer.json()["error"]["details"][0]["reason"]) == (503, "SHUTTING_DOWN")


async def test_long_polls_do_not_displace_other_requests(contract: Contract, service: Backend) -> None:
    """Long polls count as streams, so that the maximum of them leaves other requests answered."""
    waiting, release = asyncio.Semaphore(0), asyncio.Event()

    async def answer(received: Received, _: Context) -> bytes:
        if received.path.endswith("/News"):
            waiting.release()
            await release.wait()
        return received.request

    service.answer = answer
    async with edge_of(contract, service.port, concurrent_requests_max=2) as client:
        polls = [asyncio.create_task(client.get("/v1/news?word=a", timeout=60)) for _ in range(5)]
        for _ in polls:
            await waiting.acquire()
        assert (await client.post("/v1/strict", json={"word": "a"})).status_code == 200
        release.set()
        assert [(await poll).json() for poll in polls] == [{"word": "a"}] * 5


async def test_successful_long_polls_are_logged_for_debugging(contract: Contract, service: Backend) -> None:
    """Clients repeat them for as long as they run. Failures are logged like those of other calls."""

    async def answer(received: Received, context: Context) -> bytes:
        if b"none" in received.request:
            await context.abort(grpc.StatusCode.NOT_FOUND, "There is no news.")
        return received.request

    service.answer = answer
    with capture_logs() as logs:
        async with edge_of(contract, service.port) as client:
            await client.get("/v1/news?word=a")
            await client.get("/v1/news?word=none")
            await client.post("/v1/strict", json={"word": "a"})
    records = [(line["route"], line["code"], line["log_level"]) for line in logs if line["event"] == "request"]
    news = "/v1/news"
    assert records == [(news, "OK", "debug"), (news, "NOT_FOUND", "info"), ("/v1/strict", "OK", "info")]


async def test_rejections_are_in_the_audit_log(guarded: Client, issuer: Issuer) -> None:
    """A missing scope and a forged token are logged with account, client and request id, but without the token."""
    books, request_id = "/v1/shelves/a/books", {"x-request-id": "request-1"}
    token, forged = issuer.token("users/eve", scope="books.read"), Issuer().token("users/eve")
    with capture_logs(processors=[merge_contextvars]) as logs:
        for each in (token, forged):
            await guarded.post(books, json={}, headers=request_id | {"authorization": f"Bearer {each}"})
        await guarded.post(books, json={}, headers=request_id)
    records = [
        {name: line.get(name) for name in ("event", "account", "reason", "client", "request_id", "scope", "method")}
        for line in logs
        if line.get("logger") == "audit"
    ]
    common = {"event": "access_refused", "client": "127.0.0.1", "request_id": "request-1"}
    common["method"] = "/library.v1.Library/CreateBook"
    assert records == [
        common | {"account": "users/eve", "reason": "SCOPE_MISSING", "scope": "books.write"},
        common | {"account": "", "reason": "TOKEN_INVALID", "scope": None},
    ]
    assert token not in json.dumps(logs, default=str)


@pytest.mark.parametrize("code", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN"])
async def test_a_failure_is_a_degraded_response(contract: Contract, service: Backend, code: str) -> None:
    """Clients of all protocols get an empty response with the degraded field; the log has the code of the failure."""

    async def fail(_: Received, context: Context) -> bytes:
        await context.abort(grpc.StatusCode[code], "no advice today")
        return b""

    service.answer = fail
    path = "/policies.v1.Policies/Advise"
    async with edge_of(contract, service.port) as client:
        with capture_logs() as logs:
            rest = await client.get("/v1/advice")
        connect = await client.post(path, json={})
        grpc_web = await client.post(
            path, content=b"\0\0\0\0\0", headers={"content-type": "application/grpc-web+proto"}
        )
    assert (rest.status_code, rest.json()) == (200, {"isDegraded": True})
    assert (connect.status_code, connect.json()) == (200, {"isDegraded": True})
    assert grpc_web.content.startswith(b"\0\0\0\0\x03\xa0\x01\x01")
    assert b"grpc-status: 0" in grpc_web.content.replace(b"grpc-status:0", b"grpc-status: 0")
    assert [(each["status"], each["code"]) for each in logs if each["event"] == "request"] == [(200, code)]


async def test_without_the_service_the_response_is_degraded(contract: Contract) -> None:
    """An unreachable service leads to the degraded response too."""
    async with edge_of(contract, free_port()) as client:
        advice, news = await client.get("/v1/advice"), await client.get("/v1/news")
    assert (advice.status_code, advice.json()) == (200, {"isDegraded": True})
    assert news.status_code == 503


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "FAILED_PRECONDITION"])
async def test_an_error_that_the_caller_can_mend_stays_one(contract: Contract, service: Backend, code: str) -> None:
    """A degraded response would hide it."""

    async def fail(_: Received, context: Context) -> bytes:
        await context.abort(grpc.StatusCode[code], "not like this")
        return b""

    service.answer = fail
    async with edge_of(contract, service.port) as client:
        response = await client.get("/v1/advice")
        unknown = await client.get("/v1/advice", params={"other": "1"})
    assert response.json()["error"]["status"] == code
    assert unknown.status_code == 400


@pytest.mark.parametrize(
    ("policy", "response", "why"),
    [
        ('degraded_field: "words"', "Advice", "which is no single bool field of its response"),
        ('degraded_field: "flags"', "Advice", "which is no single bool field of its response"),
        ('degraded_field: "missing"', "Advice", "which is no single bool field of its response"),
        ('degraded_field: "is_degraded"', "stream Advice", "has degraded_field and streams"),
        ('degraded_field: "is_degraded" cache: {max_age: {seconds: 1}}', "Advice", "has both degraded_field and cache"),
    ],
)
def test_a_response_that_cannot_be_degraded_is_a_problem(tmp_path: Path, policy: str, response: str, why: str) -> None:
    """The edge does not serve a method whose policy does not fit its response."""
    method = """rpc Advise(Words) returns (Advice) {
    option idempotency_level = NO_SIDE_EFFECTS;"""
    changed = CONTRACT.replace(method, method.replace("(Advice)", f"({response})"))
    changed = changed.replace('degraded_field: "is_degraded"', policy)
    problems = read(compile_image(changed, tmp_path)).problems
    assert [each.method for each in problems] == ["policies.v1.Policies.Advise"]
    assert why in problems[0].why


@pytest.mark.parametrize(
    "policy",
    [
        "rate_limit: {requests: 0}",
        "rate_limit: {requests: 1 per: {seconds: -5}}",
        "timeout: {seconds: -2}",
        "cache: {max_age: {seconds: -5}}",
        "http_status: 1201",
    ],
)
def test_the_edge_does_not_start_with_a_wrong_number(tmp_path: Path, policy: str) -> None:
    """The message names the method."""
    compile_image(CONTRACT.replace("{public: true long_poll: true}", f"{{public: true {policy}}}"), tmp_path)
    image = tmp_path / "test.proto.binpb"
    for arguments in (("--check",), ("--upstream", "*=localhost:1", "--port", "0")):
        ended = run("--contracts", image, *arguments)
        assert ended.returncode == 1
        assert "error: policies.v1.Policies.News: has " in ended.stderr


async def test_a_lenient_edge_does_not_serve_a_contradictory_policy(tmp_path: Path, service: Backend) -> None:
    """The method has no URL, neither that of its rule nor its own name; the others are served."""
    contract = read(compile_image(CONTRACT.replace("true long_poll: true", 'true scopes: "news"'), tmp_path))
    async with edge_of(contract, service.port) as client:
        assert (await client.get("/v1/news")).status_code == 404
        assert (await client.post("/policies.v1.Policies/News", json={})).status_code == 404
        assert (await client.post("/policies.v1.Policies/Strict", json={})).status_code == 200
