"""HTTP semantics: methods, headers, deadlines, cross-origin requests, pages."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge.call.metadata import check_name
from edge.contract.contract import Contract
from tests.edge.backend import Backend, Context, Received
from tests.edge.protocols.rest.wire import wire
from tests.edge.served import Client, edge_of

GET = "/v1/shelves/a/books/b"


async def test_405_lists_the_methods_of_the_url(client: Client) -> None:
    """Allow lists the methods of all rules that match the path, with HEAD and OPTIONS."""
    response = await client.put(GET)
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, PATCH")
    response = await client.get("/v1/shelves/a/books/b:lend")
    assert response.status_code == 200, "a book may be named b:lend"
    assert (await client.delete("/v1/echo")).headers["allow"] == "GET, HEAD, OPTIONS, POST, PURGE"


async def test_options_lists_the_methods_of_the_url(client: Client) -> None:
    """OPTIONS of an existing path returns Allow without a body."""
    response = await client.options(GET)
    assert (response.status_code, response.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH")
    assert response.headers["accept-patch"] == "application/json"
    assert "accept-patch" not in (await client.options("/v1/echo")).headers
    assert (await client.options("/v1/nothing")).status_code == 404
    async with wire(client) as connection:
        await connection.begin("OPTIONS", "*")
        assert (await connection.head())[0] == 204, "a client may ask about the server as a whole"
        await connection.begin("GET", "*")
        assert (await connection.head())[0] == 404


async def test_custom_methods_are_methods(client: Client, backend: Backend) -> None:
    """The kind of a custom rule is its HTTP method."""
    assert (await client.request("PURGE", "/v1/echo?i32=1")).json() == {"i32": 1}


async def test_the_override_header_is_ignored(client: Client, backend: Backend) -> None:
    """X-HTTP-Method-Override is ignored, because it could bypass a proxy in front of the edge."""
    await client.get(GET, headers={"x-http-method-override": "DELETE"})
    assert backend.calls[-1].path == "/library.v1.Library/GetBook"


async def test_headers_travel_by_allow_list(library: Contract, backend: Backend) -> None:
    """Only listed headers become metadata, -bin ones decoded; clients can't set internal metadata."""
    sent = {
        "accept-language": "de",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "x-shelf": "7",
        "x-raw-bin": "AP8",
        "grpc-timeout": "1n",
        "grpc-metadata-x-shelf": "8",
        "l5d-dst-override": "evil",
        "x-meshwright-caller": "users/root",
        "x-meshwright-client-address": "192.0.2.1",
        "cookie": "a=b",
        "x-other": "no",
    }
    async with edge_of(library, backend.port, request_headers="accept-language,traceparent,x-shelf,x-raw-bin") as edge:
        await edge.get(GET, headers=sent)
        metadata = backend.calls[-1].metadata
        assert (await edge.get(GET, headers={"x-raw-bin": "@"})).status_code == 400
        assert (await edge.get(GET, headers={b"x-shelf": "ü".encode()})).status_code == 400
    assert {key for key in metadata if not key.startswith("user-agent")} == {
        *("accept-language", "traceparent", "x-shelf", "x-raw-bin", "x-request-id", "x-meshwright-client-address"),
    }
    assert metadata["x-raw-bin"] == b"\x00\xff"
    assert metadata["x-meshwright-client-address"] == "127.0.0.1"


@pytest.mark.parametrize("name", ["grpc-timeout", ":path", "l5d-x", "Connection", "x-meshwright-a", "a b", "", "Host"])
def test_allow_lists_reject_dangerous_names(name: str) -> None:
    """A setting with a dangerous header name is rejected at startup."""
    with pytest.raises(ValueError, match=r"passed on|valid header name"):
        check_name(name)


async def test_every_request_has_an_id(client: Client, backend: Backend) -> None:
    """A safe request id of the client, or a new one, is in the reply, in the metadata and in errors."""
    backend.replies(backend.message("library.v1.Book"))
    response = await client.get(GET, headers={"x-request-id": "abc-1"})
    assert (response.headers["x-request-id"], backend.calls[-1].metadata["x-request-id"]) == ("abc-1", "abc-1")
    insane = await client.get("/v1/nothing", headers={"x-request-id": "x" * 200})
    assert len(insane.headers["x-request-id"]) == 32


async def test_the_contracts_timeout_is_the_deadline(client: Client, backend: Backend) -> None:
    """The service gets the contract's deadline; the edge keeps a client's shorter timeout, and ignores a longer one."""
    for sent in (None, "1", "0.5", "3600"):
        headers = {} if sent is None else {"x-server-timeout": sent}
        await client.post("/v1/shelves/a/books", json={}, headers=headers)
        remaining_s = backend.calls[-1].remaining_s
        assert remaining_s is not None
        assert 1.1 < remaining_s <= 9.1


@pytest.mark.parametrize("sent", ["NaN", "-1", "1e3", "inf", "", "1s", "0", "0.0", "9" * 30, "0x1", "٣"])
async def test_a_malformed_timeout_is_rejected(client: Client, sent: str) -> None:
    """A timeout must be a positive decimal number of limited length."""
    refused = await client.violations("GET", GET, headers={b"x-server-timeout": sent.encode()})
    assert refused == {"X-Server-Timeout": "MALFORMED_HEADER"}


async def test_a_deadline_that_passes_is_504(client: Client, backend: Backend) -> None:
    """A call beyond its deadline fails with 504 in the common format, and is cancelled in the service."""
    stopped = asyncio.Event()

    async def answer(_: Received, __: Context) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return b""

    backend.answer = answer
    while not backend.calls:  # a call may not get there in that time
        response = await client.post(f"{GET}:lend", json={}, headers={"x-server-timeout": "0.1"})
        assert (response.status_code, response.json()["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
    await stopped.wait()


async def test_the_deadline_of_a_client_includes_its_body(client: Client, backend: Backend) -> None:
    """A call whose body takes the whole time is 504, and is not made."""

    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.3)
        yield b"}"

    headers = {"content-type": "application/json", "x-server-timeout": "0.2"}
    response = await client.post(f"{GET}:lend", content=slow(), headers=headers)
    assert (response.status_code, response.json()["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
    assert not backend.calls


async def test_compressed_bodies_are_read_within_the_limit(client: Client, backend: Backend) -> None:
    """The limit applies to the decompressed size of a gzip body; a corrupt one is rejected."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    response = await client.post("/v1/echo", content=gzip.compress(b'{"i32": 1}'), headers=headers)
    assert response.json() == {"i32": 1}
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    contents = (bomb, b"nonsense", gzip.compress(b"{}")[:-4], gzip.compress(b"{}") + b"x")
    refused = [(await client.post("/v1/echo", content=each, headers=headers)).status_code for each in contents]
    assert refused == [413, 400, 400, 400]


async def test_a_body_of_unknown_length_has_the_same_limit(library: Contract, backend: Backend) -> None:
    """Chunks are counted against the limit as they arrive."""

    async def chunks(count: int) -> Any:
        for _ in range(count):
            yield b"x" * 100

    async with edge_of(library, backend.port, body_bytes_max=1000) as client:
        assert (await client.put("/v1/files/a", content=chunks(10))).status_code == 200
        assert (await client.put("/v1/files/a", content=chunks(11))).status_code == 413


async def test_json_in_another_charset_is_rejected(client: Client) -> None:
    """JSON must be in UTF-8 (RFC 8259)."""
    answers = []
    for charset in ('charset="UTF-8"', "charset=utf-8; x=1", "charset=latin-1", "charset=utf-16"):
        headers = {"content-type": f"application/json; {charset}"}
        answers.append((await client.post("/v1/echo", content=b"{}", headers=headers)).status_code)
    assert answers == [200, 200, 415, 415]


async def test_too_many_concurrent_requests_are_rejected(library: Contract, backend: Backend) -> None:
    """A request beyond the limit gets a 503 with Retry-After, while the others are served."""
    free = asyncio.Event()

    async def answer(_: Received, __: Context) -> bytes:
        await free.wait()
        return b""

    backend.answer = answer
    async with edge_of(library, backend.port, concurrent_requests_max=2) as client:
        waiting = [asyncio.ensure_future(client.get(GET)) for _ in range(2)]
        while len(backend.calls) < 2:
            await asyncio.sleep(0.01)
        refused = await client.get(GET)
        free.set()
        served = await asyncio.gather(*waiting)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert [response.status_code for response in served] == [200, 200]


async def test_browsers_of_other_origins(library: Contract, backend: Backend) -> None:
    """A preflight of an allowed origin succeeds, and its scripts can read errors too."""
    asks = {"access-control-request-method": "PATCH", "access-control-request-headers": "authorization,if-match"}
    async with edge_of(library, backend.port, cors_origins="https://a.example,https://b.example") as client:
        good = await client.options(GET, headers={"origin": "https://a.example", **asks})
        bad = await client.options(GET, headers={"origin": "https://evil.example", **asks})
        error = await client.get("/v1/nothing", headers={"origin": "https://b.example"})
        plain = await client.get("/v1/nothing")
    assert good.status_code == 204
    assert good.headers["access-control-allow-origin"] == "https://a.example"
    assert "PATCH" in good.headers["access-control-allow-methods"]
    assert good.headers["access-control-allow-headers"] == "authorization,if-match"
    assert not [name for name in bad.headers if name.startswith("access-control")]
    assert error.headers["access-control-allow-origin"] == "https://b.example"
    assert "x-request-id" in error.headers["access-control-expose-headers"]
    assert (plain.headers["vary"], "access-control-allow-origin" in plain.headers) == ("accept, origin", False)


async def test_any_origin_and_none(library: Contract, client: Client, backend: Backend) -> None:
    """The asterisk allows every origin; without the setting there are no CORS headers."""
    async with edge_of(library, backend.port, cors_origins="*") as open_to_all:
        response = await open_to_all.get("/v1/nothing", headers={"origin": "https://x.example"})
    assert (response.headers["access-control-allow-origin"], response.headers["vary"]) == ("*", "accept")
    closed = await client.get("/v1/nothing", headers={"origin": "https://x.example"})
    assert "access-control-allow-origin" not in closed.headers


async def test_the_pages_are_local(client: Client) -> None:
    """The documentation and the OpenAPI document refer to no other host, and the policy forbids loading from one."""
    for page in ("/docs", "/redoc"):
        response = await client.get(page)
        assert response.status_code == 200
        assert "default-src 'self'" in response.headers["content-security-policy"]
        for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js"):
            assert asset not in response.text or f'"/docs/assets/{asset}"' in response.text
        assert "https://" not in response.text.replace("https://github.com", "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js"):
        assert (await client.get(f"/docs/assets/{asset}")).status_code == 200
    assert (await client.get("/openapi.json")).json()["openapi"].startswith("3.1")


async def test_the_operations_pages(client: Client, backend: Backend) -> None:
    """The pages report liveness, readiness while the services can be reached, and metrics by RPC."""
    backend.replies(backend.message("library.v1.Book"))
    await client.get(GET)
    await client.get("/v1/invented/by/a/client")
    assert (await client.get("/livez")).text == "alive\n"
    assert (await client.get("/readyz")).json() == {"ready": True, "checks": {}}
    metrics = (await client.get("/metrics")).text
    assert 'edge_requests_total{code="OK",rpc="library.v1.Library.GetBook",status="200"}' in metrics
    assert 'edge_requests_total{code="NOT_FOUND",rpc="none",status="404"}' in metrics
    assert "invented" not in metrics


@pytest.mark.parametrize("size", [12_000, 16_384, 17_000, 30_000])
@pytest.mark.parametrize("split", [1, 3])
async def test_headers_beyond_the_limits_of_the_service(
    library: Contract, backend: Backend, size: int, split: int
) -> None:
    """Headers beyond gRPC's limits on metadata cause a 431 in the common format, and the next call succeeds."""
    names = ["authorization", "x-a", "x-b"][:split]
    headers = dict.fromkeys(names, "a" * (size // split))
    async with edge_of(library, backend.port, request_headers="x-a,x-b", head_bytes_max=100_000) as client:
        refused = [await client.get(GET, headers=headers) for _ in range(3)]
        connect = await client.post("/library.v1.Library/GetBook", json={}, headers=headers)
        good = await client.get(GET)
    # Between the soft and the hard limit gRPC rejects some.
    worst = max(refused, key=lambda response: response.status_code)
    assert good.status_code == 200
    if worst.status_code == 200:
        assert size < 16_384
        return
    error = worst.json()["error"]
    assert (worst.status_code, error["status"]) == (431, "RESOURCE_EXHAUSTED")
    assert error["message"] == "The headers of the request are larger than the service accepts."
    assert error["details"][0]["reason"] == "HEADERS_TOO_LARGE"
    assert "metadata size" not in connect.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-a", b"\xff"),
        ("x-raw-bin", b"@@@@"),
        ("x-raw-bin", b"AAAAA"),
        ("x-raw-bin", b"AP8, \xff"),
    ],
)
async def test_headers_that_metadata_can_not_contain(
    library: Contract, backend: Backend, name: str, value: bytes
) -> None:
    """A header with other than printable ASCII is rejected with its name."""
    async with edge_of(library, backend.port, request_headers="x-a,x-raw-bin") as client:
        response = await client.get(GET, headers=[(name.encode(), value)])
    error = response.json()["error"]
    assert (response.status_code, error["details"][0]["reason"]) == (400, "MALFORMED_HEADER")
    assert name in error["message"].lower()
    assert backend.calls == []
