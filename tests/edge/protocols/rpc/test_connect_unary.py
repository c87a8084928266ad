"""Connect's unary calls."""

import asyncio
import base64
import gzip
import zlib
from typing import Any

import grpc
import pytest
from googleapis.google.rpc.error_details_pb import BadRequest, DebugInfo
from googleapis.google.rpc.status_pb import Status
from protobuf.wkt import Any as Packed

from edge.contract.contract import Contract
from tests.edge.backend import Backend, Context, Received
from tests.edge.served import Client, edge_of
from tests.issuer import Issuer

SERVICE = "/library.v1.Library"
GET = f"{SERVICE}/GetBook"
ECHO = f"{SERVICE}/Echo"
JSON = {"content-type": "application/json"}
PROTO = {"content-type": "application/proto"}
ZIPPED = base64.urlsafe_b64encode(gzip.compress(b'{"name":"ab"}', mtime=0)).decode()
ONE = b"\x08\x01"  # Everything.i32 = 1


async def error(response: Any) -> tuple[int, str, str]:
    """Returns the status, the code and the message of a Connect error."""
    assert response.headers["content-type"] == "application/json"
    return response.status_code, response.json()["code"], response.json()["message"]


async def test_json_and_binary(client: Client, backend: Backend) -> None:
    """The response is in the codec of the request."""
    response = await client.post(ECHO, json={"i32": 1})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert (response.json(), backend.calls[-1].request, backend.calls[-1].path) == ({"i32": 1}, ONE, ECHO)
    response = await client.post(ECHO, content=ONE, headers=PROTO)
    assert (response.headers["content-type"], response.content) == ("application/proto", ONE)


async def test_newer_clients_are_served(client: Client, backend: Backend) -> None:
    """Unknown fields are ignored in JSON, as Connect demands, and passed on in binary."""
    assert (await client.post(ECHO, json={"i32": 1, "newer": True})).json() == {"i32": 1}
    newer = ONE + b"\xf8\x7f\x01"
    assert (await client.post(ECHO, content=newer, headers=PROTO)).content == newer


@pytest.mark.parametrize(
    ("headers", "content", "text"),
    [
        (JSON, b"", "The body is not JSON"),
        (JSON, b"{", "The body is not JSON"),
        (JSON, b"[]", "body: must be an object, not an array"),
        (JSON, b'{"i32": "x"}', "i32: "),
        (JSON, b'{"i32": 1, "i32": 2}', "i32: is given more than once"),
        (JSON, b'{"timestamp": "yesterday"}', "timestamp: "),
        (PROTO, b"\xff", "The message is not a valid library.v1.Everything in Protobuf's binary format."),
        (PROTO, ONE[:1], "The message is not a valid library.v1.Everything in Protobuf's binary format."),
        (PROTO, b"\xaa\x02" * 10_000, "The message is not a valid library.v1.Everything in Protobuf's binary format."),
        ({**JSON, "connect-protocol-version": "2"}, b"{}", "The version of the Connect protocol must be 1."),
        ({**JSON, "connect-timeout-ms": "1.5"}, b"{}", "The header Connect-Timeout-Ms must be"),
        ({**JSON, "connect-timeout-ms": "-1"}, b"{}", "The header Connect-Timeout-Ms must be"),
        ({**JSON, "connect-timeout-ms": "12345678901"}, b"{}", "The header Connect-Timeout-Ms must be"),
        ({**JSON, "content-encoding": "gzip"}, b"{}", "The body is not in the gzip format."),
    ],
)
async def test_malformed_requests_are_rejected(
    client: Client, backend: Backend, headers: dict[str, str], content: bytes, text: str
) -> None:
    """A malformed request is an error of the client, and no service is called."""
    status, code, message = await error(await client.post(ECHO, content=content, headers=headers))
    assert (status, code, backend.calls) == (400, "invalid_argument", [])
    assert message.startswith(text)


async def test_contract_rules_hold(client: Client, backend: Backend) -> None:
    """Validation rules apply in both codecs; the paths of fields are in the client's spelling."""
    response = await client.post(f"{SERVICE}/Check", json={"emailAddress": "@", "parts": [{"partSize": 0}]})
    assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")
    violations = response.json()["details"][1]
    assert violations["type"] == "google.rpc.BadRequest"
    fields = [each["field"] for each in violations["debug"]["fieldViolations"]]
    assert fields == ["emailAddress", "parts[0].partSize"]
    decoded = BadRequest.from_binary(base64.b64decode(violations["value"] + "=="))
    assert [each.field for each in decoded.field_violations] == fields
    response = await client.post(f"{SERVICE}/Check", content=b"\x0a\x01@", headers=PROTO)
    assert response.json()["details"][1]["debug"]["fieldViolations"][0]["field"] == "email_address"
    assert backend.calls == []


@pytest.mark.parametrize(
    "query",
    [
        'encoding=json&message={"name":"ab"}',
        "connect=v1&encoding=json&message=%7B%22name%22%3A%22ab%22%7D&unknown=1",
        "message=CgJhYg&base64=1&encoding=proto",
        "message=CgJhYg%3D%3D&base64=1&encoding=proto",
        f"compression=gzip&encoding=json&base64=1&message={ZIPPED}",
        "encoding=proto&message=%0A%02ab&base64=0",
    ],
)
async def test_reads_by_get(client: Client, backend: Backend, query: str) -> None:
    """The message is in the query, in any order of parameters and in either codec, in base64 or compressed."""
    response = await client.get(f"{GET}?{query}")
    assert (response.status_code, backend.calls[-1].request) == (200, b"\x0a\x02ab"), response.text
    assert response.headers["cache-control"] == "public, no-cache"
    assert response.headers["content-type"] == f"application/{'json' if 'json' in query else 'proto'}"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "invalid_argument"),
        ("encoding=json", 400, "invalid_argument"),
        ("message={}", 400, "invalid_argument"),
        ("encoding=json&message={}&message={}", 400, "invalid_argument"),
        ("connect=v2&encoding=json&message={}", 400, "invalid_argument"),
        ("encoding=json&message=%", 400, "invalid_argument"),
        ("encoding=json&message=%ff", 400, "invalid_argument"),
        ("encoding=json&base64=1&message=a", 400, "invalid_argument"),
        ("encoding=json&base64=1&message=e30==", 400, "invalid_argument"),
        ("encoding=json&base64=1&message=e3%2B", 400, "invalid_argument"),
        ("encoding=json&base64=1&compression=gzip&message=e30", 400, "invalid_argument"),
        ("encoding=json&compression=lzw&message={}", 501, "unimplemented"),
        ("encoding=xml&message={}", 415, "unknown"),
    ],
)
async def test_invalid_queries(client: Client, backend: Backend, query: str, status: int, code: str) -> None:
    """Each invalid query is rejected."""
    assert (await error(await client.get(f"{GET}?{query}")))[:2] == (status, code)
    assert backend.calls == []


async def test_a_read_of_another_version_fails_as_connect_does(client: Client) -> None:
    """The error of a precondition has Connect's shape, as every error of a call."""
    url = f"{SERVICE}/GetBook?encoding=json&message=%7B%7D"
    response = await client.get(url, headers={"if-match": '"other"'})
    assert (response.status_code, response.json()["code"]) == (409, "aborted")


async def test_only_reads_are_by_get(client: Client) -> None:
    """A method with side effects accepts only POST; the error is in Connect's shape if the client uses Connect."""
    response = await client.get(f"{ECHO}?encoding=json&message={{}}")
    assert (response.status_code, response.headers["allow"]) == (405, "OPTIONS, POST")
    response = await client.delete(ECHO, headers={"connect-protocol-version": "1"})
    assert (response.status_code, response.json()["code"]) == (405, "unknown")


async def test_other_types_are_415(client: Client) -> None:
    """The error lists the supported types; those of streams are not among them."""
    for media_type in (
        "text/plain",
        "application/connect+json",
        "application/grpc",
        "application/x-www-form-urlencoded",
    ):
        response = await client.post(ECHO, content=b"{}", headers={"content-type": media_type})
        assert (response.status_code, response.json()["code"]) == (415, "unknown")
        assert "application/json, application/proto, application/grpc-web" in response.headers["accept-post"].replace(
            "application/proto, application/json", "application/json, application/proto"
        )


@pytest.mark.parametrize("path", [f"{SERVICE}/Hidden", f"{SERVICE}/Nope", "/library.v1.Nope/Echo"])
async def test_a_method_without_a_rule_is_unknown(client: Client, backend: Backend, path: str) -> None:
    """Internal methods are as unknown as those that don't exist."""
    response = await client.post(path, json={}, headers={"connect-protocol-version": "1"})
    assert (response.status_code, response.json()["code"]) == (404, "unimplemented")
    assert (await client.post(path, json={})).json()["error"]["status"] == "NOT_FOUND"
    assert backend.calls == []


async def test_access_is_the_same_as_for_rest(guarded: Client, backend: Backend, issuer: Issuer) -> None:
    """The tokens and scopes of the contract apply, and the challenge is in the HTTP header."""
    create = f"{SERVICE}/CreateBook"
    response = await guarded.post(create, json={"book": {}})
    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == "Bearer"
    response = await guarded.post(create, json={"book": {}}, headers={"authorization": f"Bearer {issuer.token()}"})
    assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    assert 'scope="books.write"' in response.headers["www-authenticate"]
    assert backend.calls == []
    token = issuer.token(scope="books.write")
    assert (await guarded.post(create, json={"book": {}}, headers={"authorization": f"Bearer {token}"})).is_success
    assert backend.calls[-1].metadata["authorization"] == f"Bearer {token}"


async def test_one_rate_limit_for_all_protocols(library: Contract, backend: Backend) -> None:
    """Calls by REST and by Connect count against the same limit."""
    async with edge_of(library, backend.port) as client:
        assert (await client.get("/v1/limited")).is_success
        response = await client.post(f"{SERVICE}/Limited", json={})
        assert (response.status_code, response.headers["ratelimit"].split(";")[1]) == (200, "r=0")
        response = await client.post(f"{SERVICE}/Limited", json={})
    assert (response.status_code, response.json()["code"]) == (429, "resource_exhausted")
    assert int(response.headers["retry-after"]) > 0


async def test_the_shorter_timeout_applies(client: Client, backend: Backend) -> None:
    """The client's or the contract's timeout applies, and zero has already passed."""
    lend = f"{SERVICE}/LendBook"
    for header in ("200", "9999999999"):
        backend.calls.clear()
        while not backend.calls:  # a call may not get there in that time
            await client.post(lend, json={}, headers={"connect-timeout-ms": header})
        remaining_s = backend.calls[-1].remaining_s
        assert remaining_s is not None
        assert 0.2 < remaining_s <= 9.01, "the service gets the contract's; gRPC rounds up to 10 ms"

    async def answer(_: Received, __: Context) -> bytes:
        await asyncio.sleep(60)
        return b""

    backend.answer = answer
    for header in ("0", "20"):
        response = await client.post(lend, json={}, headers={"connect-timeout-ms": header})
        assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")


async def test_metadata_travels_by_allow_list(library: Contract, backend: Backend) -> None:
    """Metadata travels in both directions, with errors too; trailing metadata has the prefix trailer-."""

    async def answer(received: Received, context: Context) -> bytes:
        await context.send_initial_metadata((("x-lead", "1"), ("x-secret", "no")))
        context.set_trailing_metadata((("x-trail", "2"), ("x-raw-bin", b"\x00\xff")))
        if not received.request:
            await context.abort(grpc.StatusCode.NOT_FOUND, "gone")
        return received.request

    backend.answer = answer
    names = ["x-lead", "x-trail", "x-raw-bin"]
    async with edge_of(library, backend.port, request_headers=names, response_headers=names) as client:
        for message, status in [({"i32": 1}, 200), ({}, 404)]:
            response = await client.post(ECHO, json=message, headers={"x-lead": "9", "x-raw-bin": "AQ, Ag=="})
            shown = {name: value for name, value in response.headers.items() if name.startswith(("x-", "trailer"))}
            assert response.status_code == status
            assert shown.keys() - {"x-request-id", "x-content-type-options"} == {
                *("x-lead", "trailer-x-trail", "trailer-x-raw-bin")
            }
            assert shown["trailer-x-raw-bin"] == "AP8="
    assert backend.calls[-1].metadata["x-lead"] == "9"
    assert backend.calls[-1].metadata["x-raw-bin"] == b"\x02", "the last of two"


async def test_a_services_error(client: Client, backend: Backend) -> None:
    """The details of an error keep their types, except DebugInfo, which is removed."""

    async def answer(_: Received, context: Context) -> bytes:
        details = [Packed.pack(DebugInfo(detail="SELECT")), Packed.pack(Status(code=7)), Packed(type_url="x/y.Z")]
        status = Status(code=5, message="gone ☹", details=details).to_binary()
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone", (("grpc-status-details-bin", status),))

    backend.answer = answer
    response = await client.post(ECHO, json={})
    assert (await error(response))[:2] == (404, "not_found")
    assert response.json()["message"] == "gone ☹"
    assert response.json()["details"] == [
        {"type": "google.rpc.Status", "value": "CAc", "debug": {"code": 7}},
        {"type": "y.Z", "value": ""},
    ]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (grpc.StatusCode.CANCELLED, (499, "canceled", "The call was cancelled.")),
        (grpc.StatusCode.UNKNOWN, (500, "unknown", "Internal error.")),
        (grpc.StatusCode.INTERNAL, (500, "internal", "Internal error.")),
        (grpc.StatusCode.DATA_LOSS, (500, "data_loss", "Internal error.")),
        (grpc.StatusCode.ABORTED, (409, "aborted", "SELECT")),
    ],
)
async def test_internals_are_not_revealed(
    library: Contract, backend: Backend, code: grpc.StatusCode, shown: tuple[int, str, str]
) -> None:
    """The message of an error that reveals the internals of a service is replaced."""

    async def answer(_: Received, context: Context) -> bytes:
        await context.abort(code, "SELECT")

    backend.answer = answer
    async with edge_of(library, backend.port) as client:
        assert await error(await client.post(ECHO, json={})) == shown


async def test_an_invalid_response_message(client: Client, backend: Backend) -> None:
    """An invalid response is an error of the service, and the client gets no internals."""

    async def answer(_: Received, __: Context) -> bytes:
        return b"\xff"

    backend.answer = answer
    assert await error(await client.post(ECHO, json={})) == (500, "internal", "The service sent an invalid response.")


async def test_an_unexpected_error_of_the_edge(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is in Connect's shape, without its own message."""

    def fail(*_: object) -> None:
        raise RuntimeError("at line 7")

    monkeypatch.setattr("edge.protocols.connect.unary.check_version", fail)
    assert await error(await client.post(ECHO, json={})) == (500, "internal", "Internal error.")


async def test_size_limits(library: Contract, backend: Backend) -> None:
    """The size is limited before and after decompression, in queries too."""
    bomb = gzip.compress(b"0" * 1_000_000)
    async with edge_of(library, backend.port, body_bytes_max=5000) as client:
        for headers, content in [(JSON, b" " * 5001), ({**JSON, "content-encoding": "gzip"}, bomb)]:
            response = await client.post(ECHO, content=content, headers=headers)
            assert (await error(response))[:2] == (429, "resource_exhausted")
        query = {"encoding": "json", "base64": "1", "compression": "gzip"}
        message = base64.urlsafe_b64encode(bomb).decode()
        response = await client.get(GET, params={**query, "message": message})
        assert (await error(response))[:2] == (429, "resource_exhausted")
    assert backend.calls == []


async def test_codings(client: Client, backend: Backend) -> None:
    """Bodies are compressed in both directions; an unsupported coding is rejected with a list of the others."""
    content = gzip.compress(b'{"text": "' + b"a" * 2000 + b'"}')
    response = await client.post(
        ECHO, content=content, headers={**JSON, "content-encoding": "gzip", "accept-encoding": "gzip"}
    )
    assert (response.headers["content-encoding"], response.json()) == ("gzip", {"text": "a" * 2000})
    text = b"\x52\xd0\x0f" + b"a" * 2000
    response = await client.post(ECHO, content=text, headers={**PROTO, "accept-encoding": "br"})
    assert (response.headers["content-encoding"], response.content) == ("br", text)
    deflated = {**JSON, "content-encoding": "deflate"}
    status, code, message = await error(await client.post(ECHO, content=zlib.compress(b"{}"), headers=deflated))
    assert (status, code) == (501, "unimplemented")
    assert "gzip, br, zstd" in message


async def test_rest_routes_keep_their_urls(library: Contract, client: Client, backend: Backend) -> None:
    """A request to a REST route is handled by REST, even if it is a form or has an unknown field."""
    response = await client.post("/v1/echo", json={"newer": True})
    assert response.json()["error"]["details"][1]["fieldViolations"][0]["reason"] == "FIELD_UNKNOWN"


async def test_the_access_log(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """The access log has the procedure as the route, the RPC, and both statuses."""
    await client.post(ECHO, content=b"{", headers=JSON)
    line = next(line for line in capsys.readouterr().out.splitlines() if "request " in line)
    for part in (f"route={ECHO}", "rpc=library.v1.Library.Echo", "status=400", "code=INVALID_ARGUMENT"):
        assert part in line


async def test_browsers_may_call(library: Contract, backend: Backend) -> None:
    """A preflight allows the headers that the clients send, and scripts may read the metadata of responses."""
    wanted = (
        "authorization,connect-protocol-version,connect-timeout-ms,content-type,grpc-timeout,x-grpc-web,x-user-agent"
    )
    origin = {"origin": "https://a.example"}
    asks = {**origin, "access-control-request-method": "POST", "access-control-request-headers": wanted}
    async with edge_of(library, backend.port, cors_origins="https://a.example", response_headers=["x-lead"]) as client:
        preflight = await client.options(ECHO, headers=asks)
        response = await client.post(ECHO, json={}, headers=origin)
    assert (preflight.status_code, preflight.headers["access-control-allow-headers"]) == (204, wanted)
    assert preflight.headers["access-control-allow-methods"] == "OPTIONS, POST"
    assert response.headers["access-control-allow-origin"] == "https://a.example"
    assert {"x-lead", "trailer-x-lead"} <= set(response.headers["access-control-expose-headers"].split(", "))
