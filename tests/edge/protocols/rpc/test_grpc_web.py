"""gRPC-Web, binary and as text."""

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator
from urllib.parse import unquote

import grpc
import pytest
from googleapis.google.rpc.error_details_pb import DebugInfo, ErrorInfo
from googleapis.google.rpc.status_pb import Status
from protobuf.wkt import Any as Packed

from tests.edge.backend import Backend, Context, Received
from tests.edge.protocols.rpc.wire import grpc_web, sealed, unsealed
from tests.edge.served import Client
from tests.issuer import Issuer

FEEDS = "/feeds.v1.Feeds"
PROTO = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "x-user-agent": "grpc-web-javascript/0.1"}
TEXT = {**PROTO, "content-type": "application/grpc-web-text"}
ASKED = b"\x0a\x01a"  # WatchRequest.name = "a", Event.text = "a"


async def call(
    caller: Client, method: str, body: bytes, headers: dict[str, str] = PROTO
) -> tuple[list[bytes], dict[str, str]]:
    """Returns the messages and the trailers of a call, whose status is always 200."""
    response = await caller.post(f"{FEEDS}/{method}", content=body, headers=headers)
    assert (response.status_code, response.headers["content-type"]) == (200, headers["content-type"])
    return grpc_web(response.content)


@pytest.mark.parametrize("media_type", ["application/grpc-web", "application/grpc-web+proto"])
async def test_a_unary_call(caller: Client, source: Backend, media_type: str) -> None:
    """The response has a message and the trailers, in the media type of the request."""
    headers = {"content-type": media_type}
    assert await call(caller, "Once", sealed(ASKED), headers) == ([ASKED], {"grpc-status": "0"})
    assert source.calls[-1].request == ASKED


async def test_json(caller: Client, source: Backend) -> None:
    """Messages may be JSON; the trailers stay text."""
    headers = {"content-type": "application/grpc-web+json"}
    source.replies(source.message("feeds.v1.Event", '{"number": 7}'))
    body = sealed(b'{"name": "a", "newer": 1}')
    assert await call(caller, "Once", body, headers) == ([b'{"number":7}'], {"grpc-status": "0"})


async def test_streams(caller: Client, source: Backend) -> None:
    """Server streams work, and client streams whose requests come first."""

    async def stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await context.send_initial_metadata((("x-lead", "1"),))
        context.set_trailing_metadata((("x-trail", "2"), ("x-raw-bin", b"\xff")))
        async for _ in requests:
            yield ASKED
            yield ASKED

    source.stream = stream
    messages, trailers = await call(caller, "Watch", sealed(ASKED))
    assert messages == [ASKED, ASKED]
    assert trailers == {"grpc-status": "0", "x-trail": "2", "x-raw-bin": "/w=="}
    messages, _ = await call(caller, "Chat", sealed(ASKED, ASKED))
    assert len(messages) == 4


async def test_text(caller: Client, source: Backend) -> None:
    """Base64 works in both directions, in chunks that end wherever the sender flushed."""
    envelope = sealed(ASKED)
    whole = base64.b64encode(envelope)
    parts = base64.b64encode(envelope[:1]) + base64.b64encode(envelope[1:3]) + base64.b64encode(envelope[3:])
    for body in (whole, parts):
        response = await caller.post(f"{FEEDS}/Once", content=body, headers=TEXT)
        assert response.headers["content-type"] == "application/grpc-web-text"
        message, _, trailers = response.content.partition(b"=")
        frames = unsealed(base64.b64decode(message + b"=") + base64.b64decode(trailers.lstrip(b"=")))
        assert frames == [(0, ASKED), (0x80, b"grpc-status: 0\r\n")]

    async def drops() -> AsyncIterator[bytes]:
        for at in range(len(parts)):
            yield parts[at : at + 1]

    response = await caller.post(f"{FEEDS}/Once", content=drops(), headers=TEXT)
    assert response.content.startswith(base64.b64encode(sealed(ASKED)))


async def test_the_client_chooses_text_or_binary(caller: Client, source: Backend) -> None:
    """Accept selects the format of the response, independently of the request."""
    binary = await caller.post(
        f"{FEEDS}/Once",
        content=base64.b64encode(sealed(ASKED)),
        headers={**TEXT, "content-type": "application/grpc-web-text+proto", "accept": "application/grpc-web+proto"},
    )
    assert (binary.headers["content-type"], grpc_web(binary.content)[0]) == ("application/grpc-web+proto", [ASKED])
    text = await caller.post(
        f"{FEEDS}/Once", content=sealed(ASKED), headers={**PROTO, "accept": "application/grpc-web-text"}
    )
    assert text.headers["content-type"] == "application/grpc-web-text+proto"
    assert text.content.startswith(base64.b64encode(sealed(ASKED)))


async def test_a_services_error(caller: Client, source: Backend) -> None:
    """The message is percent-encoded, and the details are sent without DebugInfo."""

    async def answer(_: Received, context: Context) -> bytes:
        details = [Packed.pack(DebugInfo(detail="SELECT")), Packed.pack(ErrorInfo(reason="R"))]
        status = Status(code=5, message="50% gone\n☹ ", details=details).to_binary()
        trailers = (("grpc-status-details-bin", status), ("x-trail", "2"))
        await context.abort(grpc.StatusCode.NOT_FOUND, "gone", trailers)

    source.answer = answer
    messages, trailers = await call(caller, "Once", sealed(ASKED))
    assert (messages, trailers["grpc-status"], trailers["x-trail"]) == ([], "5", "2")
    assert trailers["grpc-message"] == "50%25 gone%0A%E2%98%B9%20"
    status = Status.from_binary(base64.b64decode(trailers["grpc-status-details-bin"] + "=="))
    assert (status.code, status.message) == (5, "50% gone\n☹ ")
    assert [detail.type_url.rpartition(".")[2] for detail in status.details] == ["ErrorInfo"]


async def test_an_error_after_messages(caller: Client, source: Backend) -> None:
    """The error is in the trailers, without the message of an internal one."""

    async def stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request
        await context.abort(grpc.StatusCode.DATA_LOSS, "SELECT")

    source.stream = stream
    messages, trailers = await call(caller, "Watch", sealed(ASKED))
    assert (messages, trailers["grpc-status"], trailers["grpc-message"]) == ([ASKED], "15", "Internal error.")


@pytest.mark.parametrize(
    ("method", "body", "headers", "code", "text"),
    [
        ("Once", b"", PROTO, 12, "This method takes exactly one message."),
        ("Once", sealed(ASKED, ASKED), PROTO, 12, "This method takes exactly one message."),
        ("Watch", b"", PROTO, 12, "This method takes exactly one message."),
        ("Once", sealed(ASKED)[:-1], PROTO, 3, "The body ends inside a message."),
        ("Once", b"\0\xff\xff\xff\xff", PROTO, 8, "The message is larger than 4096 bytes."),
        (
            "Once",
            sealed(b"\xff"),
            PROTO,
            3,
            "The message is not a valid feeds.v1.WatchRequest in Protobuf's binary format.",
        ),
        ("Once", sealed(ASKED, flags=0x80), PROTO, 3, "A message has the flags 0x80"),
        ("Once", sealed(ASKED, flags=1), PROTO, 13, "A message is compressed, but no header names the coding."),
        ("Once", sealed(ASKED), {**PROTO, "grpc-encoding": "lzw"}, 12, "The coding of the messages is not supported"),
        ("Once", sealed(ASKED), {**PROTO, "content-encoding": "lzw"}, 12, "The body's Content-Encoding is not"),
        ("Once", sealed(ASKED), {**PROTO, "grpc-timeout": "1"}, 3, "The header grpc-timeout must be"),
        ("Once", sealed(ASKED), {**PROTO, "grpc-timeout": "123456789S"}, 3, "The header grpc-timeout must be"),
        (
            "Once",
            sealed(ASKED),
            {**PROTO, "grpc-timeout": "0n"},
            4,
            "grpc-timeout is 0: the deadline has already passed.",
        ),
        ("Private", sealed(ASKED), {**PROTO, "authorization": "ü"}, 16, "The Authorization header must contain"),
        ("Nope", sealed(ASKED), PROTO, 12, "There is nothing at this URL."),
        (
            *("Once", sealed(gzip.compress(b"\0" * 100_000, mtime=0), flags=1), {**PROTO, "grpc-encoding": "gzip"}),
            *(8, "The message is larger than 4096 bytes."),
        ),
    ],
)
async def test_invalid_requests_are_rejected(
    caller: Client, source: Backend, method: str, body: bytes, headers: dict[str, str], code: int, text: str
) -> None:
    """The error is in the trailers, and the HTTP status is 200."""
    sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    response = await caller.post(f"{FEEDS}/{method}", content=body, headers=sent)
    messages, trailers = grpc_web(response.content)
    assert (response.status_code, messages, trailers["grpc-status"]) == (200, [], str(code))
    assert unquote(trailers["grpc-message"]).startswith(text)
    assert source.calls == []


@pytest.mark.parametrize("body", [b"!!!!", b"AAA", b"AAAAAAA=A", b"====", b"AAAA AAA=", b"AA=A", b"\xff\xff\xff\xff"])
async def test_malformed_base64(caller: Client, source: Backend, body: bytes) -> None:
    """Malformed base64 is rejected, in text."""
    response = await caller.post(f"{FEEDS}/Once", content=body, headers=TEXT)
    _, trailers = grpc_web(base64.b64decode(response.content))
    assert (trailers["grpc-status"], trailers["grpc-message"]) == ("3", "The body is not base64.")
    assert source.calls == []


@pytest.mark.parametrize("given", ["1H", "1M", "20S", "300m", "300000u", "99999999n", "1n"])
async def test_timeouts(caller: Client, source: Backend, given: str) -> None:
    """All of gRPC's units are read; the service receives the timeout of the edge."""
    is_long = given.endswith(("H", "M", "S"))

    async def answer(received: Received, _: Context) -> bytes:
        if not is_long:
            await asyncio.sleep(60)
        return received.request

    source.answer = answer
    _, trailers = await call(caller, "Once", sealed(ASKED), {**PROTO, "grpc-timeout": given})
    assert trailers["grpc-status"] == ("0" if is_long else "4")
    # gRPC rounds up to 100 ms from 10 s on. A call that has next to no time may not get there.
    assert all(1 < (each.remaining_s or 0) <= 10.1 for each in source.calls)
    assert source.calls or not is_long


async def test_codings(caller: Client, source: Backend) -> None:
    """Single messages may be compressed, and so may the body, as browsers do."""
    long = b"\x0a\xd0\x0f" + b"a" * 2000
    headers = {**PROTO, "grpc-encoding": "gzip", "grpc-accept-encoding": "identity,gzip"}
    response = await caller.post(f"{FEEDS}/Once", content=sealed(gzip.compress(long), flags=1), headers=headers)
    (flags, content), (_, trailers) = unsealed(response.content)
    assert (response.headers["grpc-encoding"], flags, gzip.decompress(content)) == ("gzip", 1, long)
    assert trailers == b"grpc-status: 0\r\n"
    body = gzip.compress(sealed(ASKED))
    assert (await call(caller, "Once", body, {**PROTO, "content-encoding": "gzip"}))[0] == [ASKED]


async def test_access_is_the_same_as_for_rest(guarded: Client, backend: Backend, issuer: Issuer) -> None:
    """The tokens and scopes of the contract apply."""
    for token, code in [("", "16"), (issuer.token(), "7")]:
        headers = {**PROTO, "authorization": f"Bearer {token}"} if token else PROTO
        response = await guarded.post("/library.v1.Library/CreateBook", content=sealed(b""), headers=headers)
        assert grpc_web(response.content)[1]["grpc-status"] == code
    assert backend.calls == []


async def test_a_client_that_disconnects_cancels_the_call(caller: Client, source: Backend) -> None:
    """The call is cancelled even before the first message."""
    begun = asyncio.Event()

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        begun.set()
        await asyncio.sleep(60)
        yield b""

    source.stream = stream
    waiting = asyncio.create_task(caller.post(f"{FEEDS}/Watch", content=sealed(ASKED), headers=PROTO))
    await begun.wait()
    waiting.cancel()
    async with asyncio.timeout(30):
        while not source.ended:
            await asyncio.sleep(0.01)
