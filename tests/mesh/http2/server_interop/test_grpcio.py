"""The clients of grpcio, directly and behind a proxy."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio
import pytest

from mesh.errors import Code
from mesh.http2.server.call import Route, ServerCall
from tests.mesh.http2.server.scripted import MESSAGE_BYTES_MAX, Serving, serving
from tests.mesh.http2.server_interop.plain import COUNT, ECHO, FAIL, ROUTES, SUM, UNARY, WAIT
from tests.mesh.http2.server_interop.proxy import proxied

FLAKY, ENDLESS, EARLY = (f"/plain.Service/{name}" for name in ("Flaky", "Endless", "Early"))

LARGE = bytes(range(256)) * 16_000
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
COMPRESSIONS = [grpc.Compression.NoCompression, grpc.Compression.Deflate, grpc.Compression.Gzip]

TEXTS = ["plain", " spaces ", " ", "", "100 %", "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"]


async def endless(call: ServerCall) -> None:
    """Sends the request for ever."""
    while True:
        await call.write(call.request())


async def early(call: ServerCall) -> None:
    """Answers before the requests have ended."""
    call.finish(b"early")


def routes(**more: Any) -> dict[str, Route]:
    """Returns the routes with those of these tests."""
    singles = {ENDLESS: endless, **more}
    found = {path: Route(serve, takes_stream=False, message_bytes_max=1_000_000) for path, serve in singles.items()}
    return {**ROUTES, **found, EARLY: Route(early, takes_stream=True, message_bytes_max=MESSAGE_BYTES_MAX)}


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[Serving]:
    """A server, which renews its connections often."""
    async with serving(routes(), connection_age_s=0.5) as served:
        yield served


@pytest.fixture(scope="module", params=["direct", "proxied"])
async def address(
    request: pytest.FixtureRequest, served: Serving, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[str]:
    """Its address, or that of the proxy in front of it."""
    if request.param == "direct":
        yield f"127.0.0.1:{served.port}"
    else:
        async with proxied(served.port, tmp_path_factory.mktemp("envoy")) as port:
            yield f"127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def connected(address: str, **options: Any) -> AsyncIterator[Any]:
    """Opens a channel whose methods take and return bytes."""
    arguments = [*OPTIONS, *((f"grpc.{name}", value) for name, value in options.items())]
    async with grpc.aio.insecure_channel(address, options=arguments) as channel:
        yield channel


@pytest.fixture
async def channel(address: str) -> AsyncIterator[Any]:
    """A channel to it."""
    async with connected(address) as channel:
        yield channel


async def in_pieces(message: bytes) -> AsyncIterator[bytes]:
    """Yields a message in pieces of three sizes."""
    for start, end in ((0, 10), (10, 100_000), (100_000, len(message))):
        yield message[start:end]


@pytest.mark.parametrize("compression", COMPRESSIONS)
async def test_large_messages_of_every_kind_of_method(channel: Any, compression: Any) -> None:
    """They are larger than every window, and compressed by the client."""
    large: dict[str, Any] = {"compression": compression}
    assert await channel.unary_unary(UNARY)(LARGE, **large) == LARGE
    assert [each async for each in channel.unary_stream(COUNT)(LARGE, **large)] == [LARGE] * 3
    assert await channel.stream_unary(SUM)(in_pieces(LARGE), **large) == LARGE
    echoed = [each async for each in channel.stream_stream(ECHO)(in_pieces(LARGE), **large)]
    assert b"".join(echoed) == LARGE


async def test_the_synchronous_client(address: str) -> None:
    """It calls each kind of method from threads."""

    def call() -> None:
        channel: Any = grpc.insecure_channel(address, options=OPTIONS)
        with channel:
            assert channel.unary_unary(UNARY)(b"a", timeout=30) == b"a"
            assert list(channel.unary_stream(COUNT)(b"a", timeout=30)) == [b"a"] * 3
            assert channel.stream_unary(SUM)(iter((b"a", b"b")), timeout=30) == b"ab"
            assert list(channel.stream_stream(ECHO)(iter((b"a", b"b")), timeout=30)) == [b"a", b"b"]
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(FAIL)(b"a", timeout=30)

    await asyncio.gather(*(asyncio.to_thread(call) for _ in range(4)))


@pytest.mark.parametrize("text", TEXTS)
async def test_an_error_has_its_text_and_metadata(channel: Any, text: str) -> None:
    """Bytes are encoded as base64, and the text by percent."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(FAIL)(text.encode())
    trailers = dict(caught.value.trailing_metadata())
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.ABORTED, text)
    assert (trailers["x-bytes-bin"], trailers["x-text"]) == (bytes(range(256)), "a")


async def test_an_unknown_method(channel: Any) -> None:
    """It is UNIMPLEMENTED, also for a stream whose requests are on their way."""
    for call in (channel.unary_unary("/plain.Service/No")(LARGE), channel.stream_unary("/no/no")(in_pieces(LARGE))):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_an_early_answer(channel: Any) -> None:
    """The rest of a stream of requests is of no use once it is answered."""
    for _ in range(20):
        assert await channel.stream_unary(EARLY)(in_pieces(LARGE)) == b"early"


async def test_a_message_that_is_too_large(channel: Any) -> None:
    """It is RESOURCE_EXHAUSTED, and the connection goes on."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.unary_unary(UNARY)(bytes(MESSAGE_BYTES_MAX + 1))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await channel.unary_unary(UNARY)(b"a") == b"a"


async def test_a_deadline(channel: Any, served: Serving) -> None:
    """The client gives up, and its stream is reset, so that the handler ends too."""
    call: Any = channel.unary_unary(WAIT)(b"a", timeout=1)
    while not (served.server._tasks or call.done()):
        await asyncio.sleep(0.01)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    async with asyncio.timeout(20):
        while served.server._tasks:
            await asyncio.sleep(0.01)


async def test_a_hundred_calls_at_once_while_connections_are_renewed(channel: Any) -> None:
    """None is lost, of any kind, and none waits for ever."""

    async def call(number: int) -> None:
        for turn in range(15):
            message = bytes([number]) * (1 + turn * 1_000)
            assert await channel.unary_unary(UNARY)(message) == message
            assert [each async for each in channel.unary_stream(COUNT)(message)] == [message] * 3
            await asyncio.sleep(0.05)

    await asyncio.gather(*(call(number) for number in range(100)))


async def test_it_pings_often(address: str) -> None:
    """A client with aggressive keepalive is not asked to be calm, which would end its calls."""
    keepalive = {"keepalive_time_ms": 10, "keepalive_timeout_ms": 5_000, "keepalive_permit_without_calls": 1}
    async with connected(address, **keepalive, **{"http2.max_pings_without_data": 0}) as channel:
        call: Any = channel.stream_stream(ECHO)()
        for _ in range(10):
            await call.write(b"a")
            assert await call.read() == b"a"
            await asyncio.sleep(0.1)
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_cancellation_in_each_phase() -> None:
    """The handler is cancelled in each, and nothing of the calls is left."""
    begun = ended = 0

    async def held(call: ServerCall) -> None:
        nonlocal begun, ended
        begun += 1
        try:
            if call.route.takes_stream:
                await call.write(b"begun")
                _ = [each async for each in call.requests()]
            await asyncio.Event().wait()
        finally:
            ended += 1

    paths = {path: Route(held, takes_stream, 1_000) for path, takes_stream in ((WAIT, False), (ECHO, True))}
    async with serving(routes() | paths) as served, connected(f"127.0.0.1:{served.port}") as channel:
        before: Any = channel.stream_stream(ECHO)()
        before.cancel()
        waiting: Any = channel.unary_unary(WAIT)(b"a")
        sending: Any = channel.stream_stream(ECHO)()
        await sending.write(b"a")
        assert await sending.read() == b"begun"
        complete: Any = channel.stream_stream(ECHO)()
        await complete.done_writing()
        assert await complete.read() == b"begun"
        receiving: Any = channel.unary_stream(ENDLESS)(bytes(100_000))
        await receiving.read()
        incomplete: Any = channel.stream_unary(UNARY)()
        await incomplete.write(b"a")
        assert await channel.unary_unary(UNARY)(b"a") == b"a"  # all of them have arrived
        calls = [before, waiting, sending, complete, receiving, incomplete]
        for call in calls:
            call.cancel()
        for call in calls:
            assert await call.code() is grpc.StatusCode.CANCELLED
        while served.server._tasks or served.server.load._calls:
            await asyncio.sleep(0.01)
        assert begun >= 3
        assert (ended, served.server.load.requests._count) == (begun, 0)


async def test_a_client_that_waits_until_the_server_is_ready() -> None:
    """And whose next calls find the server that takes its place, at the same port."""
    async with serving(ROUTES) as served:
        port = served.port
    backoff = {"initial_reconnect_backoff_ms": 100, "max_reconnect_backoff_ms": 100}
    async with connected(f"127.0.0.1:{port}", **backoff) as channel:
        for _ in range(2):
            call = asyncio.ensure_future(channel.unary_unary(UNARY)(b"a", wait_for_ready=True, timeout=30))
            async with serving(ROUTES, port=port, grace_s=5.0):
                assert await call == b"a"


async def test_retries_by_service_config() -> None:
    """UNAVAILABLE arrives as trailers alone, so that the client may call again."""
    calls = 0

    async def flaky(call: ServerCall) -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            call.abort(Code.UNAVAILABLE, "Try again.")
        else:
            call.finish(call.request())

    policy = {"maxAttempts": 4, "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1}
    policy["retryableStatusCodes"] = ["UNAVAILABLE"]
    config = json.dumps({"methodConfig": [{"name": [{"service": "plain.Service"}], "retryPolicy": policy}]})
    async with (
        serving(routes(**{FLAKY: flaky})) as served,
        connected(f"127.0.0.1:{served.port}", service_config=config) as channel,
    ):
        assert await channel.unary_unary(FLAKY)(b"a") == b"a"
    assert calls == 3
