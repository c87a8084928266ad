"""Services that answer over HTTP/2, but violate gRPC."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import StreamEnded

from edge.contract.contract import Contract
from tests.edge.served import edge_of

Headers = list[tuple[str, str]]

GRPC: Final[Headers] = [(":status", "200"), ("content-type", "application/grpc")]
GZIP: Final[Headers] = [*GRPC, ("grpc-encoding", "gzip")]
OK: Final[Headers] = [("grpc-status", "0")]
PAGE: Final[Headers] = [("content-type", "text/html")]


@pytest.fixture(params=["http2", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    """Returns each transport: both make statuses of their own for what is not gRPC."""
    return str(request.param)


@contextlib.asynccontextmanager
async def answering(headers: Headers, body: bytes, trailers: Headers) -> AsyncIterator[int]:
    """Returns the port of a server that answers every request so; without headers it resets the stream."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, StreamEnded):
                        answer(connection, event.stream_id)
                writer.write(connection.data_to_send())
        writer.close()

    def answer(connection: H2Connection, stream: int) -> None:
        if not headers:
            connection.reset_stream(stream, 2)
            return
        connection.send_headers(stream, headers)
        connection.send_data(stream, body, end_stream=not trailers)
        if trailers:
            connection.send_headers(stream, trailers, end_stream=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("headers", "body", "trailers"),
    [
        ([(":status", "200"), *PAGE], b"<html>", []),
        ([(":status", "404"), *PAGE], b"<html>", []),
        ([(":status", "401"), *PAGE], b"<html>", []),
        ([(":status", "403"), *PAGE], b"<html>", []),
        (GRPC, b"\0\0\0\0\0", []),
        (GRPC, b"", OK),
        (GRPC, b"\0\0\0\0\x09ab", OK),
        (GRPC, b"\0\xff\xff\xff\xffab", OK),
        (GRPC, b"\0\0\0\0\0", [("grpc-status", "x")]),
        (GZIP, b"\1\0\0\0\2ab", OK),
        ([], b"", []),
    ],
)
async def test_answers_that_are_not_grpc_are_502(
    library: Contract, transport: str, headers: Headers, body: bytes, trailers: Headers
) -> None:
    """A page, no status, no message, half of one, one that is too large or damaged, a broken stream: in the one shape,
    without a word of how gRPC's library puts it.
    """
    async with (
        answering(headers, body, trailers) as port,
        edge_of(library, port, upstream_transport=transport) as client,
    ):
        response = await client.post("/v1/echo", json={})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["status"]) == (502, 502, "INTERNAL")
    assert error["message"] == "The service sent an invalid response."
    assert error["details"][0]["reason"] == "BAD_RESPONSE"


async def test_an_overloaded_proxy_is_503(library: Contract, transport: str) -> None:
    """An HTTP error of a proxy before the service is a 503."""
    async with (
        answering([(":status", "503"), *PAGE], b"", []) as port,
        edge_of(library, port, upstream_transport=transport) as client,
    ):
        response = await client.post("/v1/echo", json={})
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
