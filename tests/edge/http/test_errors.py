"""The common format of all errors."""

import asyncio
import base64
import json
import math
from typing import Any, Literal

import grpc
import httpx
import pytest
from googleapis.google.rpc.error_details_pb import BadRequest, DebugInfo, ErrorInfo, Help, LocalizedMessage, RetryInfo
from googleapis.google.rpc.status_pb import Status
from protobuf import Message, Oneof
from protobuf.wkt import Any as Packed
from protobuf.wkt import BytesValue, Duration, FloatValue, Timestamp, Value

from edge.app import http_app, websocket_app
from edge.app.http_app import HttpApp
from edge.app.websocket_app import WebSocketApp
from edge.bind.binder import Binder
from edge.contract.contract import Contract
from edge.contract.types import COMMON_TYPES
from edge.http.errors import HTTP_STATUS, HttpError, render
from edge.http.held_bytes import HeldByteCounter
from edge.protojson.well_known import parse_duration
from mesh.errors import (
    Code,
    FailedPrecondition,
    MeshError,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from tests.edge.backend import Backend, Context, Received
from tests.edge.served import Client, edge_of

GET = "/v1/shelves/a/books/b"


def fails(backend: Backend, code: int, text: str, *details: Message) -> None:
    """Makes the backend fail every call with this error, with a google.rpc.Status if there are details."""

    async def answer(_: Received, context: Context) -> bytes:
        packed = [Packed.pack(detail) for detail in details]
        status = Status(code=code, message=text, details=packed).to_binary()
        grpc_code = next(each for each in grpc.StatusCode if each.value[0] == code)
        await context.abort(grpc_code, text, (("grpc-status-details-bin", status),) if details else ())

    backend.answer = answer


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.CANCELLED, 499),
        (Code.UNKNOWN, 500),
        (Code.INVALID_ARGUMENT, 400),
        (Code.DEADLINE_EXCEEDED, 504),
        (Code.NOT_FOUND, 404),
        (Code.ALREADY_EXISTS, 409),
        (Code.PERMISSION_DENIED, 403),
        (Code.RESOURCE_EXHAUSTED, 429),
        (Code.FAILED_PRECONDITION, 400),
        (Code.ABORTED, 409),
        (Code.OUT_OF_RANGE, 400),
        (Code.UNIMPLEMENTED, 501),
        (Code.INTERNAL, 500),
        (Code.UNAVAILABLE, 503),
        (Code.DATA_LOSS, 500),
        (Code.UNAUTHENTICATED, 401),
    ],
)
async def test_every_code_has_its_http_status(library: Contract, backend: Backend, code: Code, status: int) -> None:
    """Errors map to the statuses in google/rpc/code.proto; each case has a new edge without an open breaker."""
    fails(backend, code, "why")
    async with edge_of(library, backend.port) as client:
        response = await client.patch(GET, json={})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (status, status, code.name)


def test_the_table_is_complete() -> None:
    """Every code but OK has an HTTP status."""
    assert set(HTTP_STATUS) == set(Code) - {Code.OK}


async def test_details_keep_their_types(client: Client, backend: Backend) -> None:
    """ErrorInfo, violations in the client's spelling and types of the contract are passed on, but not DebugInfo."""
    book = backend.message("library.v1.Book", '{"title": "T", "pageCount": 3}')
    violation = BadRequest.FieldViolation(field="book.page_count", description="is odd", reason="ODD")
    fails(
        backend,
        Code.INVALID_ARGUMENT,
        "Wrong.",
        ErrorInfo(reason="WRONG", domain="library.example", metadata={"shelf": "a"}),
        BadRequest(field_violations=[violation]),
        DebugInfo(stack_entries=["secret.py:1"], detail="secret"),
        Help(links=[Help.Link(description="Read", url="https://example.com")]),
        RetryInfo(retry_delay=Duration(seconds=2)),
        book,
    )
    response = await client.patch(GET, json={"pageCount": 3})
    details = {each.pop("@type").rpartition("/")[2]: each for each in response.json()["error"]["details"]}
    assert details == {
        "google.rpc.BadRequest": {
            "fieldViolations": [{"field": "pageCount", "description": "is odd", "reason": "ODD"}]
        },
        "google.rpc.ErrorInfo": {"reason": "WRONG", "domain": "library.example", "metadata": {"shelf": "a"}},
        "google.rpc.Help": {"links": [{"description": "Read", "url": "https://example.com"}]},
        "google.rpc.RetryInfo": {"retryDelay": "2s"},
        "library.v1.Book": {"title": "T", "pageCount": 3},
    }
    assert (response.headers["retry-after"], "secret" in response.text) == ("2", False)
    spelled = await client.violations("PATCH", GET, json={"page_count": 3})
    assert spelled == {"page_count": "ODD"}


def nested(depth: int) -> Packed:
    """Returns a google.protobuf.Value that holds a list in a list, and so on, which no library writes if it is deep."""
    value = Value.from_json('"x"').to_binary()
    for _ in range(depth):
        values = BytesValue(value=value).to_binary()  # ListValue.values is field 1 too, and Value.list_value field 6
        value = b"\x32" + BytesValue(value=values).to_binary()[1:]
    return Packed(type_url="type.googleapis.com/google.protobuf.Value", value=value)


UNKNOWN = Packed(type_url="type.googleapis.com/no.such.Type", value=b"\x08")
BROKEN = Packed(type_url="type.googleapis.com/google.rpc.Help", value=b"\xff")


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        (UNKNOWN, {"@value": "CA=="}),
        (BROKEN, {"@value": "/w=="}),
        (nested(60), {"@value": base64.b64encode(nested(60).value).decode()}),
        (nested(50), {"value": json.loads("[" * 50 + '"x"' + "]" * 50)}),
        (Packed.pack(Value(kind=Oneof[Literal["number_value"], float]("number_value", math.nan))), {"value": "NaN"}),
        (Packed.pack(Timestamp(seconds=10**12)), {"value": "+033658-09-27T01:46:40Z"}),
        (Packed.pack(UNKNOWN), {"value": {"@type": UNKNOWN.type_url, "@value": "CA=="}}),
        (Packed.pack(FloatValue(value=0.1)), {"value": 0.1}),
    ],
    ids=["unknown", "corrupt", "too deep", "deep", "NaN", "late", "unknown in Any", "float"],
)
@pytest.mark.parametrize("path", [GET, "/library.v1.Library/UpdateBook"])
async def test_a_detail_without_a_protojson_form_is_shown(
    client: Client, backend: Backend, path: str, detail: Packed, shown: dict[str, Any]
) -> None:
    """A detail that ProtoJSON can't write is written as in responses, as are floats, and the error keeps its status."""

    async def answer(_: Received, context: Context) -> bytes:
        status = Status(code=9, message="No.", details=[detail]).to_binary()
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "No.", (("grpc-status-details-bin", status),))
        return b""

    backend.answer = answer
    response = await (client.patch(path, json={}) if path == GET else client.post(path, json={}))
    assert (response.status_code, "x-request-id" in response.headers) == (400, True)
    if path == GET:
        assert response.json()["error"]["details"] == [{"@type": detail.type_url, **shown}]
    else:
        # Connect always has the bytes, and beside them the value, if there is one.
        (found,) = response.json()["details"]
        assert found.get("debug") == shown.get("value")


REDACTED_CODES = [Code.UNKNOWN, Code.INTERNAL, Code.DATA_LOSS, Code.UNAVAILABLE]
SECRET = "psycopg: secret at 10.0.0.1:5432"


@pytest.mark.parametrize("code", REDACTED_CODES)
@pytest.mark.parametrize("details", [(), (DebugInfo(detail="secret", stack_entries=["secret.py:7"]),)])
async def test_internal_error_texts_are_only_logged(
    library: Contract, backend: Backend, capsys: pytest.CaptureFixture[str], code: Code, details: tuple[Message, ...]
) -> None:
    """Driver texts, addresses and stack traces are logged under the client's request id, but not sent."""
    fails(backend, code, SECRET, *details)
    async with edge_of(library, backend.port) as client:
        response = await client.patch(GET, json={})
    assert (response.status_code, "secret" in response.text) == (HTTP_STATUS[code], False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "withheld" in line]
    assert (SECRET in line, "secret.py:7" in line) == (True, bool(details))
    assert (response.headers["x-request-id"] in line, "warning" in line) == (True, True)


@pytest.mark.parametrize("code", REDACTED_CODES)
async def test_a_status_with_details_is_passed_on(
    library: Contract, backend: Backend, capsys: pytest.CaptureFixture[str], code: Code
) -> None:
    """The client gets the message and all details of a google.rpc.Status in order, without DebugInfo."""
    violations = [BadRequest.FieldViolation(field=name, description="is odd") for name in ("book.page_count", "x")]
    violations[0].localized_message = LocalizedMessage(locale="de", message="ungerade")
    details: list[Message] = [
        Help(links=[Help.Link(description="Read", url="https://example.com")]),
        BadRequest(field_violations=violations[:1]),
        ErrorInfo(reason="SHARD_LOST", domain="library.example"),
        BadRequest(field_violations=violations[1:]),
    ]
    fails(backend, code, "Shard 7 is lost.", *details, DebugInfo(detail="secret"))
    async with edge_of(library, backend.port) as client:
        error = (await client.patch(GET, json={})).json()["error"]
    assert error["message"] == "Shard 7 is lost."
    shown = [Packed.pack(detail).to_json(registry=COMMON_TYPES) for detail in details]
    assert error["details"] == [json.loads(each.replace("book.page_count", "pageCount")) for each in shown]
    assert "debug=secret" in capsys.readouterr().out


async def test_a_setting_passes_bare_messages_on(library: Contract, backend: Backend) -> None:
    """With the setting, messages of plain errors, as of Go services, are passed on, but not those of gRPC libraries."""
    async with edge_of(library, backend.port, bare_messages=True) as client:
        fails(backend, Code.UNKNOWN, "rpc: the disk is full")
        assert (await client.patch(GET, json={})).json()["error"]["message"] == "rpc: the disk is full"

        async def crash(_: Received, __: Context) -> bytes:
            raise ValueError("secret")

        backend.answer = crash
        assert (await client.patch(GET, json={})).json()["error"]["message"] == "Internal error."
    async with edge_of(library, 1, bare_messages=True) as client:
        response = await client.patch(GET, json={})
    assert (response.status_code, "127.0.0.1" in response.text) == (503, False)


async def test_a_corrupt_status_is_ignored(client: Client, backend: Backend) -> None:
    """A status that is corrupt, has a corrupt detail or a different code counts as an error without a status."""
    broken = Packed(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff")
    for status in (
        b"\xff",
        Status(code=13, message=SECRET, details=[broken]).to_binary(),
        Status(code=5, message=SECRET).to_binary(),
    ):

        async def answer(_: Received, context: Context, status: bytes = status) -> bytes:
            await context.abort(grpc.StatusCode.INTERNAL, SECRET, (("grpc-status-details-bin", status),))

        backend.answer = answer
        response = await client.patch(GET, json={})
        assert (response.status_code, response.json()["error"]["message"]) == (500, "Internal error.")


async def test_a_call_that_outlasts_the_shutdown_is_503(library: Contract, backend: Backend) -> None:
    """A call that is still running at the end of the drain gets a 503, so that the client tries another edge."""

    async def answer(_: Received, __: Context) -> bytes:
        await asyncio.Event().wait()
        return b""

    backend.answer = answer
    async with edge_of(library, backend.port, shutdown_grace_s=1) as client:
        calling = httpx.AsyncClient(base_url=client.base_url)
        call = asyncio.create_task(calling.get(GET))
        while not backend.calls:
            await asyncio.sleep(0.01)
    response = await call
    await calling.aclose()
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["error"]["details"][0]["reason"] == "SHUTTING_DOWN"


async def test_an_unreachable_service_is_503_until_it_is_back(library: Contract) -> None:
    """The error of an unreachable service has Retry-After and does not disclose the address."""
    async with edge_of(library, 1) as client:
        response = await client.get(GET)
        ready = await client.get("/readyz")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "127.0.0.1" not in response.text
    assert (ready.status_code, ready.json()["checks"]) == (503, {"upstreams": "can't connect to the upstream of *"})


@pytest.mark.parametrize(
    ("method", "url", "options", "status", "reason"),
    [
        ("GET", "/v1/nothing", {}, 404, "ROUTE_NOT_FOUND"),
        ("GET", "/", {"headers": {"accept": "application/json"}}, 404, "ROUTE_NOT_FOUND"),
        ("GET", "/docs/assets/nothing.js", {}, 404, "ROUTE_NOT_FOUND"),
        ("POST", "/docs", {}, 405, "METHOD_NOT_ALLOWED"),
        ("PUT", GET, {}, 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/shelves/%zz/books/b", {}, 400, "MALFORMED_PATH"),
        ("GET", "/v1/shelves/%ff/books/b", {}, 400, "MALFORMED_PATH"),
        ("GET", GET, {"headers": {"accept": "text/html"}}, 406, "NOT_ACCEPTABLE"),
        ("POST", "/v1/echo", {"content": b"x" * (2 * 1024 * 1024)}, 413, "BODY_TOO_LARGE"),
        (
            "POST",
            "/v1/echo",
            {"content": b"<a/>", "headers": {"content-type": "text/xml"}},
            415,
            "CONTENT_TYPE_NOT_SUPPORTED",
        ),
        ("POST", "/v1/shelves/a/books", {"data": {"title": "T"}}, 415, "CONTENT_TYPE_NOT_SUPPORTED"),
        ("POST", "/v1/echo", {"content": b"{}", "headers": {"content-encoding": "lzw"}}, 415, "ENCODING_NOT_SUPPORTED"),
    ],
)
async def test_errors_of_http_itself_have_the_common_format(
    client: Client, backend: Backend, method: str, url: str, options: Any, status: int, reason: str
) -> None:
    """404, 405, 406, 413, 415 and malformed URLs have the common format, also for the edge's own pages."""
    response = await client.request(method, url, **options)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, status)
    assert set(error) == {"code", "message", "status", "details"}
    assert (error["status"] in Code.__members__, error["details"][0]["reason"]) == (True, reason)
    assert response.headers["content-type"] == "application/json"
    assert backend.calls == []


async def test_a_failure_of_the_edge_itself_discloses_nothing(
    client: Client, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected exception in any stage becomes a 500 in the common format without its text."""

    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Binder, "bind", fail)
    response = await client.get(GET)
    assert response.status_code == 500
    assert response.json()["error"] == {"code": 500, "message": "Internal error.", "status": "INTERNAL"}
    assert backend.calls == []


async def test_an_error_that_can_not_be_written_is_an_internal_one(
    client: Client, backend: Backend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure while an error is written becomes a 500 in the common format with its entry in the access log."""

    def find(*_: object) -> None:
        raise FailedPrecondition("No.")

    def refuse(error: MeshError, *given: Any, **options: Any) -> Any:
        if error.code is Code.FAILED_PRECONDITION:
            raise RuntimeError("secret")
        return render(error, *given, **options)

    for module in (http_app, websocket_app):
        monkeypatch.setattr(module, "render", refuse)
    for app in (HttpApp, WebSocketApp):
        monkeypatch.setattr(app, "_find", find)
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    for headers in ({}, {**upgrade, "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA=="}):
        response = await client.get(GET, headers=headers)
        assert (response.status_code, "x-request-id" in response.headers) == (500, True)
        assert response.json()["error"] == {"code": 500, "message": "Internal error.", "status": "INTERNAL"}
        (line,) = [line for line in capsys.readouterr().out.splitlines() if "code=INTERNAL" in line]
        assert ("] request " in line, "status=500" in line) == (True, True)
    assert backend.calls == []


async def test_an_error_without_room_in_memory_is_503(
    client: Client, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long error for which the edge has no memory is replaced by a short one, which says so."""
    fails(backend, Code.FAILED_PRECONDITION, "No.", ErrorInfo(reason="LONG", domain="\x01" * 4000))

    def refuse(_: HeldByteCounter, count: int) -> None:
        if count > 0:
            raise Unavailable("Too much data is being sent at the same time.", reason="OVERLOADED", retry_after_s=1)

    monkeypatch.setattr(HeldByteCounter, "add", refuse)
    response = await client.get(GET, headers={"accept-encoding": "identity"})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.json()["error"]["details"][0]["reason"] == "OVERLOADED"


@pytest.mark.parametrize("delay_s", [30, 0.0123456789, 0.05000000001, 1.5e-5, 1e-12, 1e9 + 0.5])
def test_any_time_to_wait_is_a_duration(delay_s: float) -> None:
    """The retryDelay of an error has at most nine digits after the point and no exponent, as parsers of a Duration
    demand: rate limits and circuit breakers name any fraction of a second.
    """
    error = json.loads(render(Unavailable("Wait.", retry_after_s=delay_s))[2])["error"]
    delay = next(each["retryDelay"] for each in error["details"] if each["@type"].endswith("RetryInfo"))
    seconds, nanos = parse_duration(delay)
    assert seconds + nanos / 1e9 == pytest.approx(delay_s, abs=1e-9)


@pytest.mark.parametrize(
    ("error", "challenge"),
    [
        (Unauthenticated("x", reason="TOKEN_MISSING"), b"Bearer"),
        (Unauthenticated('evil"\r\nx: y', reason="TOKEN_INVALID"), b'Bearer error="invalid_token"'),
        (
            PermissionDenied("x", metadata={"scope": "a.b c"}),
            b'Bearer error="insufficient_scope", scope="a.b c"',
        ),
        (PermissionDenied("x", metadata={"scope": 'a"\r\nx: y'}), None),
        (PermissionDenied("x"), None),
        (NotFound("x", metadata={"scope": "a"}), None),
    ],
)
def test_challenges_contain_no_foreign_text(error: Any, challenge: bytes | None) -> None:
    """The challenge follows RFC 6750, and never contains text that could break out of the header."""
    headers = dict(render(error)[1])
    assert headers.get(b"www-authenticate") == challenge


def test_an_http_error_has_its_headers() -> None:
    """The response has the headers of an HttpError, such as Allow and Accept."""
    status, headers, _ = render(HttpError(405, "No.", "METHOD_NOT_ALLOWED", [(b"allow", b"GET")]))
    assert (status, dict(headers)[b"allow"]) == (405, b"GET")


async def test_problem_details_for_a_client_that_prefers_them(client: Client) -> None:
    """A client that accepts problem+json as much as JSON gets RFC 9457, one that prefers JSON gets AIP-193. The type
    of the success has to be acceptable too (RFC 9110, section 12.5.1).
    """
    wanted = {"accept": "application/problem+json, application/json;q=0.9"}
    response = await client.get("/v1/nothing", headers=wanted)
    problem = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert {key: problem[key] for key in ("type", "title", "status", "code")} == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "code": "NOT_FOUND",
    }
    assert problem["detail"] == "There is nothing at this URL."
    assert problem["details"][0]["reason"] == "ROUTE_NOT_FOUND"
    documented = {"accept": "application/json, application/problem+json"}
    failed = await client.get("/v1/nothing", headers=documented)
    assert (failed.headers["content-type"], failed.json()["status"]) == ("application/problem+json", 404)
    assert (await client.get(GET, headers=documented)).headers["content-type"] == "application/json"
    refused = await client.get(GET, headers={"accept": "application/problem+json"})
    assert (refused.status_code, refused.headers["content-type"]) == (406, "application/problem+json")
    usual = await client.get("/v1/nothing", headers={"accept": "application/problem+json;q=0.5, application/json"})
    assert (usual.headers["content-type"], usual.json()["error"]["code"]) == ("application/json", 404)
