"""What HTTP itself asks for: methods, headers, deadlines, cross-origin requests, pages."""

import asyncio
import gzip
from typing import Any

import pytest

from edge.call.metadata import check_name
from edge.contract.contract import Contract
from tests.edge.backend import Backend, Context, Received
from tests.edge.served import Client, edge_of

GET = "/v1/shelves/a/books/b"


async def test_405_names_what_the_url_takes(client: Client) -> None:
    """Every method of every rule that fits the path, HEAD and OPTIONS among them."""
    response = await client.put(GET)
    assert (response.status_code, response.headers["allow"]) == (405, "DELETE, GET, HEAD, OPTIONS, PATCH")
    response = await client.get("/v1/shelves/a/books/b:lend")
    assert response.status_code == 200, "a book may be named b:lend"
    assert (await client.delete("/v1/echo")).headers["allow"] == "GET, HEAD, OPTIONS, POST, PURGE"


async def test_options_answers_what_is_allowed(client: Client) -> None:
    """Without a body, for every path that exists."""
    response = await client.options(GET)
    assert (response.status_code, response.headers["allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH")
    assert response.headers["accept-patch"] == "application/json"
    assert "accept-patch" not in (await client.options("/v1/echo")).headers
    assert (await client.options("/v1/nothing")).status_code == 404


async def test_custom_methods_are_methods(client: Client, backend: Backend) -> None:
    """A rule's custom kind is the HTTP method."""
    assert (await client.request("PURGE", "/v1/echo?i32=1")).json() == {"i32": 1}


async def test_the_override_header_overrides_nothing(client: Client, backend: Backend) -> None:
    """X-HTTP-Method-Override is a way around what stands before the edge."""
    await client.get(GET, headers={"x-http-method-override": "DELETE"})
    assert backend.calls[-1].path == "/library.v1.Library/GetBook"


async def test_headers_travel_by_allow_list(library: Contract, backend: Backend) -> None:
    """What is listed is metadata, -bin decoded; nothing that means something inside can be smuggled in."""
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
def test_no_list_can_hold_a_dangerous_name(name: str) -> None:
    """The settings are refused at the start."""
    with pytest.raises(ValueError, match=r"passed on|name of a header"):
        check_name(name)


async def test_every_request_has_an_id(client: Client, backend: Backend) -> None:
    """The client's if it is a sane one, and the same in the answer, in the metadata and in errors."""
    backend.replies(backend.message("library.v1.Book"))
    response = await client.get(GET, headers={"x-request-id": "abc-1"})
    assert (response.headers["x-request-id"], backend.calls[-1].metadata["x-request-id"]) == ("abc-1", "abc-1")
    insane = await client.get("/v1/nothing", headers={"x-request-id": "x" * 200})
    assert len(insane.headers["x-request-id"]) == 32


async def test_the_contracts_timeout_is_the_deadline(client: Client, backend: Backend) -> None:
    """It is sent on whatever a client wants: a shorter one is the edge's to keep, and nobody can raise it."""
    for sent in (None, "1", "0.5", "3600"):
        headers = {} if sent is None else {"x-server-timeout": sent}
        await client.post("/v1/shelves/a/books", json={}, headers=headers)
        remaining_s = backend.calls[-1].remaining_s
        assert remaining_s is not None
        assert 1.1 < remaining_s <= 2.1


@pytest.mark.parametrize("sent", ["NaN", "-1", "1e3", "inf", "", "1s", "0", "0.0", "9" * 30, "0x1", "٣"])
async def test_a_timeout_that_is_none_is_refused(client: Client, sent: str) -> None:
    """Digits and a point, nothing that overflows."""
    refused = await client.violations("GET", GET, headers={b"x-server-timeout": sent.encode()})
    assert refused == {"X-Server-Timeout": "MALFORMED_HEADER"}


async def test_a_deadline_that_passes_is_504(client: Client, backend: Backend) -> None:
    """The shape of error, and the service is told to stop."""
    stopped = asyncio.Event()

    async def answer(_: Received, __: Context) -> bytes:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return b""

    backend.answer = answer
    response = await client.post(f"{GET}:lend", json={}, headers={"x-server-timeout": "0.1"})
    assert (response.status_code, response.json()["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
    await stopped.wait()


async def test_compressed_bodies_are_read_within_the_limit(client: Client, backend: Backend) -> None:
    """gzip is taken; its size counts after decompression, and what is damaged is refused."""
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    response = await client.post("/v1/echo", content=gzip.compress(b'{"i32": 1}'), headers=headers)
    assert response.json() == {"i32": 1}
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < 100_000
    contents = (bomb, b"nonsense", gzip.compress(b"{}")[:-4], gzip.compress(b"{}") + b"x")
    refused = [(await client.post("/v1/echo", content=each, headers=headers)).status_code for each in contents]
    assert refused == [413, 400, 400, 400]


async def test_a_body_of_unknown_length_has_the_same_limit(library: Contract, backend: Backend) -> None:
    """Chunks are counted as they come."""

    async def chunks(count: int) -> Any:
        for _ in range(count):
            yield b"x" * 100

    async with edge_of(library, backend.port, body_bytes_max=1000) as client:
        assert (await client.put("/v1/files/a", content=chunks(10))).status_code == 200
        assert (await client.put("/v1/files/a", content=chunks(11))).status_code == 413


async def test_json_in_another_charset_is_refused(client: Client) -> None:
    """RFC 8259: JSON that is exchanged is UTF-8."""
    answers = []
    for charset in ('charset="UTF-8"', "charset=utf-8; x=1", "charset=latin-1", "charset=utf-16"):
        headers = {"content-type": f"application/json; {charset}"}
        answers.append((await client.post("/v1/echo", content=b"{}", headers=headers)).status_code)
    assert answers == [200, 200, 415, 415]


async def test_too_many_requests_at_once_are_turned_away(library: Contract, backend: Backend) -> None:
    """503 with Retry-After for the one too many, while the others are served."""
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
    """A preflight is answered for the origins of the settings; errors can be read by scripts too."""
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
    """The asterisk lets every origin in; without the setting there is nothing of all this."""
    async with edge_of(library, backend.port, cors_origins="*") as open_to_all:
        response = await open_to_all.get("/v1/nothing", headers={"origin": "https://x.example"})
    assert (response.headers["access-control-allow-origin"], response.headers["vary"]) == ("*", "accept")
    closed = await client.get("/v1/nothing", headers={"origin": "https://x.example"})
    assert "access-control-allow-origin" not in closed.headers


async def test_the_pages_are_local(client: Client) -> None:
    """Documentation and description are served, and name no other host; the policy forbids to load from one."""
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
    """Alive, ready while the services can be reached, and metrics by RPC."""
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
async def test_headers_that_the_service_does_not_take(
    library: Contract, backend: Backend, size: int, split: int
) -> None:
    """One or several together, beyond gRPC's limits on metadata: 431 in our words, and the next call goes well."""
    names = ["authorization", "x-a", "x-b"][:split]
    headers = dict.fromkeys(names, "a" * (size // split))
    async with edge_of(library, backend.port, request_headers="x-a,x-b", head_bytes_max=100_000) as client:
        refused = [await client.get(GET, headers=headers) for _ in range(3)]
        connect = await client.post("/library.v1.Library/GetBook", json={}, headers=headers)
        good = await client.get(GET)
    # Between the soft and the hard limit gRPC refuses some.
    worst = max(refused, key=lambda response: response.status_code)
    assert good.status_code == 200
    if worst.status_code == 200:
        assert size < 16_384
        return
    error = worst.json()["error"]
    assert (worst.status_code, error["status"]) == (431, "RESOURCE_EXHAUSTED")
    assert error["message"] == "The headers of the request are larger than the service takes."
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
async def test_headers_that_metadata_cannot_hold(library: Contract, backend: Backend, name: str, value: bytes) -> None:
    """Are refused by name."""
    async with edge_of(library, backend.port, request_headers="x-a,x-raw-bin") as client:
        response = await client.get(GET, headers=[(name.encode(), value)])
    error = response.json()["error"]
    assert (response.status_code, error["details"][0]["reason"]) == (400, "MALFORMED_HEADER")
    assert name in error["message"].lower()
    assert backend.calls == []
