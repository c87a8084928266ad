"""Calls and connections are freed when they end. What only the garbage collector frees stays for thousands of calls."""

import asyncio
import socket
import struct
from typing import Any

import pytest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from edge.http.http1_protocol import Http1Protocol
from edge.http.request import Request
from tests.edge.backend import Backend
from tests.edge.http.test_http1_protocol import answer_to, connection, never_answers
from tests.edge.served import Client
from tests.garbage import alive, settled

BOOK = "/v1/shelves/a/books/b"
BOOKS = "/v1/shelves/a/books"
PROCEDURE = "/library.v1.Library/GetBook"
JSON = {"content-type": "application/json"}
GRPC_WEB = {"content-type": "application/grpc-web+proto"}


pytestmark = pytest.mark.usefixtures("no_collector")


@pytest.mark.parametrize(
    ("method", "url", "options", "status"),
    [
        ("GET", BOOK, {}, 200),
        ("POST", BOOKS, {"json": {"title": "A"}}, 201),
        ("GET", "/v1/nothing", {}, 404),
        ("GET", BOOK + "?no=1", {}, 400),
        ("GET", BOOK, {"headers": {"accept": "a/b"}}, 406),
        ("POST", BOOKS, {"json": {"unknown": 1}}, 400),
        ("POST", BOOKS, {"content": b"{", "headers": JSON}, 400),
        ("GET", "/v1/books/missing", {}, 404),
        ("POST", PROCEDURE, {"content": b"{}", "headers": JSON}, 200),
        ("POST", PROCEDURE, {"content": b'{"name": "missing"}', "headers": JSON}, 404),
        ("POST", PROCEDURE, {"content": bytes(5), "headers": GRPC_WEB}, 200),
        ("POST", PROCEDURE, {"content": b"\0\0\0\0\t\n\7missing", "headers": GRPC_WEB}, 200),
    ],
)
async def test_a_call_is_freed(
    client: Client, backend: Backend, method: str, url: str, options: dict[str, Any], status: int
) -> None:
    """Also one that fails: the frames of its error would keep the request and its body."""
    backend.lacks(b"missing")
    assert (await client.request(method, url, **options)).status_code == status
    before = alive(Request, RequestResponseCycle)
    for _ in range(5):
        await client.request(method, url, **options)
    # The connection keeps its last cycle.
    assert await settled(before, Request, RequestResponseCycle) <= before


async def test_a_rejected_connection_is_freed(client: Client) -> None:
    """The head that was too large is not kept either."""
    before = alive(Http1Protocol)
    for _ in range(5):
        status, _ = await answer_to(client, b"GET / HTTP/1.1\r\n" + b"x: %b\r\n" % (b"a" * 1000) * 100 + b"\r\n")
        assert status == 431
    assert await settled(before, Http1Protocol) <= before


async def test_a_reset_connection_is_freed(client: Client) -> None:
    """Not only when it would have been closed for being idle."""
    before = alive(Http1Protocol)
    for _ in range(5):
        async with connection(client) as (reader, writer):
            writer.write(b"GET /v1/nothing HTTP/1.1\r\nhost: a\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            reset: socket.socket = writer.get_extra_info("socket")
            reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert await settled(before, Http1Protocol) <= before


async def test_pipelined_requests_of_a_lost_connection_are_freed(
    client: Client, backend: Backend, capfd: pytest.CaptureFixture[str]
) -> None:
    """Those that were not begun are never served. The one that was running is no error of the edge."""
    never_answers(backend)
    before = alive(Http1Protocol, RequestResponseCycle)
    for number in range(1, 6):
        async with connection(client) as (_, writer):
            writer.write(b"GET /v1/echo?i32=1 HTTP/1.1\r\nhost: a\r\n\r\n" * 10)
            async with asyncio.timeout(30):
                while len(backend.calls) < number:
                    await asyncio.sleep(0.01)
            writer.transport.abort()
    assert await settled(before, Http1Protocol, RequestResponseCycle) <= before
    assert len(backend.calls) == 5
    assert "Traceback" not in "".join(capfd.readouterr())
