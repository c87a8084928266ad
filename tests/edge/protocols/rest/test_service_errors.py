"""The errors of services in the middle of streams, in every protocol."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import grpc
import pytest
from googleapis.google.rpc.error_details_pb import ErrorInfo
from googleapis.google.rpc.status_pb import Status
from protobuf.wkt import Any as Packed

from tests.edge.backend import Backend, Context
from tests.edge.http.test_errors import nested
from tests.edge.protocols.websocket.test_websocket import closing, opened
from tests.edge.served import Client

WATCH = "/v1/feeds/x:watch"
RPC = "/feeds.v1.Feeds/Watch"
MEANT = "Shard 7 is lost."
SECRET = "psycopg: secret at 10.0.0.1:5432"


def breaks(source: Backend, *, deliberately: bool) -> None:
    """Makes the backend fail after a message, with a google.rpc.Status or as a crash does."""
    info = ErrorInfo(reason="SHARD_LOST", domain="feeds.example")
    status = Status(code=15, message=MEANT, details=[Packed.pack(info), nested(50), nested(60)]).to_binary()

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        yield source.message("feeds.v1.Event", '{"text": "a"}').to_binary()
        text, trailers = (MEANT, (("grpc-status-details-bin", status),)) if deliberately else (SECRET, ())
        await context.abort(grpc.StatusCode.DATA_LOSS, text, trailers)

    source.stream = stream


async def over_http(reader: Client, accept: str) -> str:
    """Returns the text of a stream."""
    return (await reader.get(WATCH, headers={"accept": accept})).text


async def over_socket(reader: Client) -> str:
    """Returns the frames, and the reason in the close frame."""
    async with opened(reader, WATCH) as socket:
        code, reason, frames = await closing(socket)
    assert code == 4015
    return f"{frames}{reason}"


async def by_procedure(reader: Client, media_type: str) -> str:
    """Returns the body of a call by Connect or gRPC-Web."""
    body = b"\0\0\0\0\2{}"
    response = await reader.post(RPC, content=body, headers={"content-type": media_type})
    found = response.content.decode("latin-1")
    if b"grpc-status-details-bin" in response.content:
        details = found.partition("grpc-status-details-bin: ")[2].partition("\r\n")[0]
        found += base64.b64decode(f"{details}===").decode("latin-1")
    return found


@pytest.mark.parametrize(
    "way",
    [
        lambda reader: over_http(reader, "application/json"),
        lambda reader: over_http(reader, "application/x-ndjson"),
        lambda reader: over_http(reader, "text/event-stream"),
        over_socket,
        lambda reader: by_procedure(reader, "application/connect+json"),
        lambda reader: by_procedure(reader, "application/grpc-web+json"),
    ],
    ids=["array", "lines", "events", "websocket", "connect", "grpc-web"],
)
async def test_the_error_of_a_service_in_a_stream(
    reader: Client, source: Backend, capsys: pytest.CaptureFixture[str], way: object
) -> None:
    """A status arrives with its details, however deep; the message of a crash is only in the log, with the request's
    id.
    """
    assert callable(way)
    breaks(source, deliberately=True)
    text = await way(reader)
    assert (MEANT in text or "Shard%207" in text or MEANT in json.dumps(text), "SHARD_LOST" in text) == (True, True)
    breaks(source, deliberately=False)
    capsys.readouterr()
    text = await way(reader)
    assert ("Internal error." in text, "secret" in text) == (True, False)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "withheld" in line]
    request_id = str(source.calls[-1].metadata["x-request-id"])
    assert (SECRET in line, request_id in line) == (True, True)
    await asyncio.sleep(0)
