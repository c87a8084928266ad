"""The edge beside Envoy's transcoder, for streams and for bodies that are no JSON."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from edge.contract.contract import read
from tests.differential.envoy import envoy_of
from tests.edge.backend import Backend, Context, backend_of
from tests.edge.contracts import compile_image
from tests.edge.protocols.rest.contract import FEEDS, STREAMING
from tests.edge.served import edge_of

EVENTS: list[dict[str, Any]] = [
    {},
    {"text": "a\n€\u2028"},
    {"number": -1, "kind": "KIND_LOUD"},
    {"text": '"]', "resumeToken": "x"},
]
POINTS = [{"number": 1}, {"place": {"label": "]}"}}, {}]
PIECES = [b"\x00\xff", b"", b"x" * 70_000]

Sides = tuple[Backend, httpx.AsyncClient, httpx.AsyncClient]


@pytest.fixture(scope="module")
async def sides(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Sides]:
    """The backend, and clients of the edge and of Envoy."""
    folder = tmp_path_factory.mktemp("feeds")
    contract = read(compile_image(FEEDS, folder))
    async with (
        backend_of(contract.registry, STREAMING) as backend,
        edge_of(contract, backend.port) as edge,
        envoy_of(folder / "test.proto.binpb", "feeds.v1.Feeds", backend, folder) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as envoy,
    ):
        yield backend, edge, envoy


async def both(sides: Sides, method: str, url: str, **options: Any) -> tuple[httpx.Response, httpx.Response]:
    """Returns the replies of the edge and of Envoy."""
    _, edge, envoy = sides
    return await edge.request(method, url, **options), await envoy.request(method, url, **options)


def gives(backend: Backend, type_name: str, documents: list[dict[str, Any]]) -> None:
    """Answers every stream with these messages."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        for document in documents:
            yield backend.message(type_name, json.dumps(document)).to_binary()

    backend.stream = stream


@pytest.mark.parametrize("count", [0, 1, 2, 4])
async def test_a_stream_is_a_json_array(sides: Sides, count: int) -> None:
    """Both stream the same messages as an array, also an empty one."""
    gives(sides[0], "feeds.v1.Event", EVENTS[:count])
    edge, envoy = await both(sides, "GET", "/v1/feeds/a:watch?count=3")
    assert (edge.status_code, envoy.status_code) == (200, 200)
    assert edge.headers["content-type"] == envoy.headers["content-type"] == "application/json"
    assert edge.json() == envoy.json() == EVENTS[:count]


@pytest.mark.parametrize("url", ["/v1/tracks/a/points", "/v1/tracks/a/places?number=5", "/v1/7/points"])
async def test_an_array_is_a_stream_of_requests(sides: Sides, url: str) -> None:
    """In both, the fields of the URL are set in the first message; the service receives the same messages."""
    backend = sides[0]
    calls: list[list[Any]] = []
    desc = backend.registry.message("feeds.v1.Point")
    assert desc is not None

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        calls.append([json.loads(desc.type.from_binary(request).to_json()) async for request in requests])
        yield backend.message("feeds.v1.Summary", '{"count": 3}').to_binary()

    backend.stream = stream
    body = [{"label": "a"}, {}] if "places" in url or "7" in url else POINTS
    edge, envoy = await both(sides, "POST", url, json=body)
    assert (edge.status_code, envoy.status_code) == (200, 200)
    assert edge.json() == envoy.json() == {"count": 3}
    assert calls[0] == calls[1]


async def test_a_raw_download(sides: Sides) -> None:
    """The bytes of google.api.HttpBody under its own type."""
    backend = sides[0]

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        desc = backend.registry.message("google.api.HttpBody")
        assert desc is not None
        for piece in PIECES:
            yield desc.type(content_type="image/x-test", data=piece).to_binary()

    backend.stream = stream
    edge, envoy = await both(sides, "GET", "/v1/files/a/b")
    assert edge.headers["content-type"] == envoy.headers["content-type"] == "image/x-test"
    assert edge.content == envoy.content == b"".join(PIECES)


async def test_a_raw_upload(sides: Sides) -> None:
    """The same bytes and the same path arrive, in however many messages."""
    backend = sides[0]
    calls: list[tuple[str, str, bytes]] = []
    desc = backend.registry.message("feeds.v1.FileRequest")
    assert desc is not None

    async def stream(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        messages: list[Any] = [desc.type.from_binary(request) async for request in requests]
        data = b"".join(message.content.data for message in messages if message.content is not None)
        calls.append((messages[0].path, messages[0].content.content_type, data))
        yield b""

    backend.stream = stream
    content = b"".join(PIECES)
    options = {"content": content, "headers": {"content-type": "image/x-test"}}
    edge, envoy = await both(sides, "PUT", "/v1/files/a/b", **options)
    assert (edge.status_code, envoy.status_code) == (200, 200)
    assert calls == [("a/b", "image/x-test", content)] * 2
