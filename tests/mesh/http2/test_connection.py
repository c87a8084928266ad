"""The rules of RFC 9113 for a client, each with a server that keeps or breaks it."""

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Any, Final

import pytest
import uvloop
from hpack import Decoder

from mesh.client import Http2Transport
from mesh.errors import Code, Metadata
from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.http2.receiver import CONNECTION_WINDOW_BYTES
from mesh.http2.windows import WINDOW_BYTES
from mesh.rpc.call_error import CallError
from tests.mesh.http2.scripted import (
    HEAD,
    OK,
    PATH,
    Peer,
    block,
    call,
    data,
    head,
    prefixed,
    scripted,
    serve_well,
    trailers,
    transport_to,
    unary,
)

ENDS: Final = frames.END_STREAM | frames.END_HEADERS


async def failed(address: str, *, connect_s: float | None = None) -> CallError:
    """Returns the error of a call."""
    async with transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport, connect_s=connect_s)
        return caught.value


async def test_the_preface_is_followed_by_our_settings() -> None:
    """The connection starts with the preface and SETTINGS (3.4): no header table, no pushes."""
    first: list[frames.Frame] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        first.append(await peer.frame())
        peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        await call(transport)
    kind, _, stream, payload = first[0]
    assert (kind, stream) == (frames.SETTINGS, 0)
    assert {1: 0, 2: 0}.items() <= dict(struct.iter_unpack(">HL", payload)).items()


async def test_a_request_has_the_fields_of_grpc() -> None:
    """Pseudo-fields first, te: trailers, the content type, the timeout; streams have odd identifiers."""
    got: list[tuple[int, list[tuple[Any, ...]]]] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        for _ in range(2):
            _, flags, stream, payload = await peer.next(frames.HEADERS)
            assert flags == frames.END_HEADERS
            got.append((stream, [tuple(field) for field in Decoder().decode(payload)]))
            assert (await peer.next(frames.DATA))[1:] == (frames.END_STREAM, stream, prefixed(b"question"))
            peer.answer(stream)

    async with scripted(serve) as address, transport_to(address) as transport:
        await call(transport)
        metadata: Metadata = [("x-a", " a "), ("x-b-bin", b"\0\xff"), ("authorization", "Bearer x")]
        await unary(transport, b"question", timeout_s=2, metadata=metadata)
    assert [stream for stream, _ in got] == [1, 3]
    names = [name for name, _ in got[1][1]]
    assert names[:4] == [":method", ":scheme", ":path", ":authority"]
    fields = dict(got[1][1])
    expected = {":method": "POST", ":scheme": "http", ":path": PATH, ":authority": address, "te": "trailers"}
    expected["content-type"] = "application/grpc"
    assert expected.items() <= fields.items()
    assert fields["grpc-timeout"].endswith("u")
    assert 0 < int(fields["grpc-timeout"][:-1]) <= 2_000_000
    assert (fields["x-a"], fields["x-b-bin"], fields["authorization"]) == ("a", "AP8", "Bearer x")


async def test_the_wait_for_a_connection_counts() -> None:
    """The timeout that is sent is what is left when the connection is there."""
    timeouts: list[int] = []
    wait_s, timeout_s = 0.3, 30

    async def serve(peer: Peer) -> None:
        await asyncio.sleep(wait_s)
        await peer.start()
        _, _, stream, payload = await peer.next(frames.HEADERS)
        fields: dict[Any, Any] = dict(Decoder().decode(payload))
        timeouts.append(int(fields["grpc-timeout"][:-1]))
        peer.answer(stream)

    async with scripted(serve) as address, transport_to(address) as transport:
        await unary(transport, b"question", timeout_s=timeout_s)
    assert 0 < timeouts[0] <= (timeout_s - wait_s) * 1e6


SETTINGS_FIRST: Final = frames.settings({})


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(frames.frame(frames.PING, 0, 0, bytes(8)), ErrorCode.PROTOCOL_ERROR, id="no settings first: 3.4"),
        pytest.param(frames.frame(0xBE, 0, 0), ErrorCode.PROTOCOL_ERROR, id="an unknown frame first: 3.4"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 1, bytes(5)), ErrorCode.PROTOCOL_ERROR, id="PRIORITY first: 3.4"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", ErrorCode.FRAME_SIZE_ERROR, id="HTTP/1.1"),
        pytest.param(frames.frame(frames.SETTINGS, frames.ACK, 0), ErrorCode.PROTOCOL_ERROR, id="an ack first: 3.4"),
        pytest.param(frames.frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR, id="settings of a stream: 6.5"),
        pytest.param(frames.frame(frames.SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR, id="5 bytes: 6.5"),
        pytest.param(frames.settings({2: 1}), ErrorCode.PROTOCOL_ERROR, id="pushes of a server: 6.5.2"),
        pytest.param(frames.settings({4: 2**31}), ErrorCode.FLOW_CONTROL_ERROR, id="a window of 2^31: 6.5.2"),
        pytest.param(frames.settings({5: 16_383}), ErrorCode.PROTOCOL_ERROR, id="frames below 2^14: 6.5.2"),
        pytest.param(frames.settings({5: 2**24}), ErrorCode.PROTOCOL_ERROR, id="frames of 2^24: 6.5.2"),
    ],
)
async def test_a_wrong_start_ends_the_connection(sent: bytes, code: ErrorCode) -> None:
    """A server with a wrong start gets the error code, and counts as unreachable."""
    received: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.read_preface()
        peer.send(sent)
        received.append(await peer.error_code())

    async with scripted(serve) as address:
        assert (await failed(address, connect_s=0.2)).code is Code.UNAVAILABLE
    assert received[0] == code  # a later attempt may be given up


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(struct.pack(">BHBBL", 0, 16_385, 0, 0, 1), ErrorCode.FRAME_SIZE_ERROR, id="frame too large: 4.2"),
        pytest.param(head(1, flags=0) + data(1, b""), ErrorCode.PROTOCOL_ERROR, id="interrupted block: 6.10"),
        pytest.param(
            head(1, flags=0) + frames.frame(frames.CONTINUATION, 4, 3, b""),
            ErrorCode.PROTOCOL_ERROR,
            id="other's: 6.10",
        ),
        pytest.param(frames.frame(frames.CONTINUATION, 4, 1, b"\x88"), ErrorCode.PROTOCOL_ERROR, id="no block: 6.10"),
        pytest.param(head(0), ErrorCode.PROTOCOL_ERROR, id="HEADERS of no stream: 6.2"),
        pytest.param(head(3), ErrorCode.PROTOCOL_ERROR, id="HEADERS of an idle stream: 5.1"),
        pytest.param(head(2), ErrorCode.PROTOCOL_ERROR, id="HEADERS of the server's stream: 5.1.1"),
        pytest.param(frames.frame(frames.HEADERS, 0xC, 1, b"\x09\x88"), ErrorCode.PROTOCOL_ERROR, id="padding: 6.2"),
        pytest.param(frames.frame(frames.HEADERS, 0x24, 1, b"1234"), ErrorCode.FRAME_SIZE_ERROR, id="priority: 6.2"),
        pytest.param(frames.frame(frames.HEADERS, 4, 1, b"\xbe"), ErrorCode.COMPRESSION_ERROR, id="HPACK: 4.3"),
        pytest.param(data(0, b"x"), ErrorCode.PROTOCOL_ERROR, id="DATA of no stream: 6.1"),
        pytest.param(data(3, b"x"), ErrorCode.PROTOCOL_ERROR, id="DATA of an idle stream: 5.1"),
        pytest.param(data(1, b"\x05x", frames.PADDED), ErrorCode.PROTOCOL_ERROR, id="padding: 6.1"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR, id="PRIORITY: 6.3"),
        pytest.param(frames.rst_stream(0, 8), ErrorCode.PROTOCOL_ERROR, id="RST_STREAM of no stream: 6.4"),
        pytest.param(frames.rst_stream(3, 8), ErrorCode.PROTOCOL_ERROR, id="RST_STREAM of an idle stream: 6.4"),
        pytest.param(frames.frame(frames.RST_STREAM, 0, 1, b"123"), ErrorCode.FRAME_SIZE_ERROR, id="3 bytes: 6.4"),
        pytest.param(frames.frame(frames.SETTINGS, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR, id="full ack: 6.5"),
        pytest.param(frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR, id="push: 8.4"),
        pytest.param(frames.frame(frames.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR, id="PING of a stream: 6.7"),
        pytest.param(frames.frame(frames.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR, id="PING of 7 bytes: 6.7"),
        pytest.param(frames.frame(frames.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR, id="GOAWAY: 6.8"),
        pytest.param(frames.frame(frames.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR, id="7 bytes: 6.8"),
        pytest.param(frames.frame(frames.WINDOW_UPDATE, 0, 0, b"123"), ErrorCode.FRAME_SIZE_ERROR, id="3 bytes: 6.9"),
        pytest.param(frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR, id="by nothing: 6.9"),
        pytest.param(frames.window_update(3, 1), ErrorCode.PROTOCOL_ERROR, id="of an idle stream: 5.1"),
        pytest.param(frames.window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR, id="beyond 2^31-1: 6.9.1"),
    ],
)
async def test_a_connection_error_ends_the_connection_only(sent: bytes, code: ErrorCode) -> None:
    """The server gets the error code, its call fails as unavailable, and the next connection works."""
    received: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        await peer.request()
        peer.send(sent)
        received.append(await peer.error_code())
        await peer.wait_closed()

    async with scripted(serve, serve_well) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
        assert (caught.value.code, caught.value.is_sent) == (Code.UNAVAILABLE, False)
        assert (await call(transport)).message == b"answer"
    assert received == [code]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(data(1, b"x"), ErrorCode.PROTOCOL_ERROR, id="data before headers: 8.1"),
        pytest.param(head(1) + head(1, OK), ErrorCode.PROTOCOL_ERROR, id="trailers without END_STREAM: 8.1"),
        pytest.param(head(1) + trailers(1, HEAD), ErrorCode.PROTOCOL_ERROR, id=":status in trailers: 8.1"),
        pytest.param(trailers(1, OK), ErrorCode.PROTOCOL_ERROR, id="no :status: 8.3.2"),
        pytest.param(head(1, [(":status", "20")]), ErrorCode.PROTOCOL_ERROR, id=":status of 20: 8.3.2"),
        pytest.param(trailers(1, [(":status", "100")]), ErrorCode.PROTOCOL_ERROR, id="ends with 100: 8.1"),
        pytest.param(head(1, [(":status", "101")]), ErrorCode.PROTOCOL_ERROR, id="101: 8.6"),
        pytest.param(head(1, [*HEAD, (":path", "/")]), ErrorCode.PROTOCOL_ERROR, id="a late pseudo-field: 8.3"),
        pytest.param(head(1, [HEAD[0], HEAD[0]]), ErrorCode.PROTOCOL_ERROR, id="two :status: 8.3"),
        pytest.param(head(1, [*HEAD, ("X-a", "b")]), ErrorCode.PROTOCOL_ERROR, id="an upper-case name: 8.2.1"),
        pytest.param(head(1, [*HEAD, ("x a", "b")]), ErrorCode.PROTOCOL_ERROR, id="a space in a name: 8.2.1"),
        pytest.param(head(1, [*HEAD, ("x-a", "b\nc")]), ErrorCode.PROTOCOL_ERROR, id="a line feed in a value: 8.2.1"),
        pytest.param(head(1, [*HEAD, ("connection", "close")]), ErrorCode.PROTOCOL_ERROR, id="connection: 8.2.2"),
        pytest.param(
            head(1, [*HEAD, ("content-length", "7")]) + data(1, b"\0\0\0\0\0") + trailers(1),
            ErrorCode.PROTOCOL_ERROR,
            id="a wrong content-length: 8.1.1",
        ),
        pytest.param(frames.window_update(1, 0), ErrorCode.PROTOCOL_ERROR, id="WINDOW_UPDATE by nothing: 6.9"),
        pytest.param(frames.window_update(1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR, id="beyond 2^31-1: 6.9.1"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 1, b"1234"), ErrorCode.FRAME_SIZE_ERROR, id="PRIORITY: 6.3"),
        pytest.param(head(1, [HEAD[0], *[("x-a", "b" * 4000)] * 5]), ErrorCode.PROTOCOL_ERROR, id="headers too large"),
    ],
)
async def test_a_stream_error_ends_its_stream_only(sent: bytes, code: ErrorCode) -> None:
    """The stream is reset with the error code, its call fails, and the connection carries the next call."""
    received: list[tuple[int, int]] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        peer.send(b"" if await peer.request() != 1 else sent)
        received.append(await peer.reset_code())
        peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
        assert (caught.value.code, caught.value.is_sent) == (Code.INTERNAL, False)
        assert (await call(transport)).message == b"answer"
    assert received == [(1, code)]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(frames.frame(0xEE, 0xFF, 9, b"x"), id="an unknown type: 5.5"),
        pytest.param(frames.settings({0xEEEE: 1}), id="an unknown setting: 6.5.2"),
        pytest.param(frames.settings({3: 10, 3 + 0: 5}), id="settings at any time: 6.5"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 1, bytes(5)), id="priority: 5.3.2"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 999, bytes(5)), id="priority of an idle stream: 6.3"),
        pytest.param(frames.frame(frames.PING, frames.ACK, 0, bytes(8)), id="an answer to no ping: 6.7"),
        pytest.param(head(1, [(":status", "100")]), id="an informational response: 8.1"),
        pytest.param(
            frames.frame(frames.HEADERS, 0x2C, 1, b"\x03" + bytes(5) + block(HEAD) + b"pad"), id="padding: 6.2"
        ),
        pytest.param(head(1) + data(1, b""), id="empty data: 6.1"),
        pytest.param(frames.window_update(1, 5), id="a wider window: 6.9"),
    ],
)
async def test_frames_that_change_nothing(sent: bytes) -> None:
    """Frames without a meaning for a call are ignored between its request and its response."""
    begun = sent.startswith(head(1)) or b"pad" in sent

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(sent)
        peer.send(b"" if begun else head(stream), data(stream, prefixed(b"answer")), trailers(stream))

    async with scripted(serve) as address, transport_to(address) as transport:
        assert (await call(transport)).message == b"answer"


async def test_a_header_block_of_a_call_that_has_ended() -> None:
    """A block that a call does not live to see is dropped: its error stays, and its stream is reset once (5.1)."""
    received: list[tuple[int, int]] = []
    handled = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.start()
        _, _, stream, _ = await peer.next(frames.HEADERS)
        peer.send(head(stream, [*HEAD, *OK], frames.END_STREAM))
        received.append(await peer.reset_code())
        peer.send(frames.frame(frames.CONTINUATION, frames.END_HEADERS, 1), frames.frame(frames.PING, 0, 0, bytes(8)))
        received.append((await peer.next(frames.RST_STREAM, frames.PING))[:2])
        handled.set()
        peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await unfinished(transport)
        assert caught.value.code is Code.DEADLINE_EXCEEDED
        await handled.wait()
        assert (await call(transport)).message == b"answer"
    assert received == [(1, ErrorCode.CANCEL), (frames.PING, frames.ACK)]


async def unfinished(transport: Http2Transport) -> None:
    """Makes a call whose requests do not end before its deadline."""
    deadline = time.monotonic() + 0.1
    async with transport.stream(PATH, connect_by=deadline, deadline=deadline, metadata=()) as stream:
        await stream.receive()


async def test_a_header_block_may_be_continued() -> None:
    """A block in HEADERS and CONTINUATION frames, and data with padding, are read as others (6.1, 6.10)."""
    metadata = [("x-long", "v" * 100)]

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        whole = block([*HEAD, *metadata])
        peer.send(frames.frame(frames.HEADERS, 0, stream, whole[:10]))
        peer.send(frames.frame(frames.CONTINUATION, 0, stream, whole[10:20]))
        peer.send(frames.frame(frames.CONTINUATION, frames.END_HEADERS, stream, whole[20:]))
        peer.send(data(stream, b"\x03" + prefixed(b"answer") + b"pad", frames.PADDED), trailers(stream))

    async with scripted(serve) as address, transport_to(address) as transport:
        response = await call(transport)
    assert (response.message, response.initial_metadata) == (b"answer", (("x-long", "v" * 100),))


async def test_pings_and_settings_are_acknowledged() -> None:
    """PING comes back with its content (6.7), SETTINGS are acknowledged each (6.5.3)."""
    acks: list[frames.Frame] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        peer.send(frames.frame(frames.PING, 0, 0, b"12345678"), frames.settings({3: 7}))
        while len(acks) < 3:
            found = await peer.next(frames.PING, frames.SETTINGS)
            if found[1] == frames.ACK:
                acks.append(found)
        peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        await call(transport)
    assert sorted(acks) == [(frames.SETTINGS, frames.ACK, 0, b"")] * 2 + [(frames.PING, frames.ACK, 0, b"12345678")]


async def test_requests_keep_to_the_windows() -> None:
    """No more data are sent than both windows allow; a change of the initial window counts for open streams (6.9.2)."""
    message = b"m" * 200_000
    received = 0

    async def serve(peer: Peer) -> None:
        nonlocal received
        await peer.start({4: 1000})
        windows = [(1000, b""), (3000, frames.settings({4: 3000})), (50_000, frames.window_update(1, 47_000))]
        windows.append((WINDOW_BYTES, frames.window_update(1, 1_000_000)))
        windows.append((len(message) + 5, frames.window_update(0, 1_000_000)))
        for allowed, update in windows:
            peer.send(update)
            while received < allowed:
                kind, flags, _, payload = await peer.next(frames.DATA)
                assert kind == frames.DATA
                assert len(payload) <= frames.PAYLOAD_BYTES_MAX
                received += len(payload)
            assert received == allowed
            if received < len(message):
                peer.send(frames.frame(frames.PING, 0, 0, bytes(8)))
                assert (await peer.next(frames.PING, frames.DATA))[0] == frames.PING
        assert flags & frames.END_STREAM
        peer.answer(1)

    async with scripted(serve) as address, transport_to(address) as transport:
        await call(transport, message)


async def test_a_window_may_become_negative() -> None:
    """A smaller initial window takes back what was not used, below zero (6.9.2)."""

    async def serve(peer: Peer) -> None:
        await peer.start({4: 10_000})
        received = 0
        while received < 10_000:
            received += len((await peer.next(frames.DATA))[3])
        peer.send(frames.settings({4: 0}), frames.window_update(1, 9_000), frames.frame(frames.PING, 0, 0, bytes(8)))
        assert (await peer.next(frames.PING, frames.DATA))[0] == frames.PING
        peer.send(frames.window_update(1, 11_005))
        while received < 20_005:
            received += len((await peer.next(frames.DATA))[3])
        peer.answer(1)

    async with scripted(serve) as address, transport_to(address) as transport:
        await call(transport, bytes(20_000))


async def test_streams_take_turns() -> None:
    """A large request does not keep a later one waiting, and a blocked stream not the connection."""

    async def serve(peer: Peer) -> None:
        await peer.start({4: 1_000})
        first = (await peer.next(frames.HEADERS))[2]
        second = await peer.request()
        assert second == first + 2
        peer.answer(second)
        peer.send(frames.window_update(first, 100_000), frames.window_update(0, 100_000))
        peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        large = asyncio.create_task(call(transport, bytes(50_000)))
        await asyncio.sleep(0)
        assert (await call(transport)).message == b"answer"
        await large


async def test_a_server_gets_window_for_what_arrived() -> None:
    """A large response arrives although the server never sends more than our windows allow (6.9)."""
    message = bytes(3_000_000)

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(head(stream))
        windows = {0: WINDOW_BYTES, stream: WINDOW_BYTES}
        windows[0] = CONNECTION_WINDOW_BYTES
        left = prefixed(message)
        while left:
            size = min(windows[0], windows[stream], frames.PAYLOAD_BYTES_MAX, len(left))
            if not size:
                _, _, updated, payload = await peer.next(frames.WINDOW_UPDATE)
                windows[updated] += struct.unpack(">L", payload)[0]
                continue
            peer.send(data(stream, left[:size]))
            left = left[size:]
            windows = {each: window - size for each, window in windows.items()}
        peer.send(trailers(stream))

    async with scripted(serve) as address, transport_to(address) as transport:
        assert (await call(transport)).message == message


async def test_only_a_message_that_is_waited_for_gets_more_window() -> None:
    """A large message does not arrive beyond the window before a reader wants it, however many clients are slow."""
    large, read = bytes(200_000), asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        content = prefixed(large)
        pieces = [content[at : at + 16_000] for at in range(0, len(content), 16_000)]
        peer.send(head(stream), *(data(stream, piece) for piece in pieces[:4]))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await peer.next(frames.WINDOW_UPDATE)
        read.set()
        assert (await peer.next(frames.WINDOW_UPDATE))[2] == stream
        peer.send(*(data(stream, piece) for piece in pieces[4:]), trailers(stream))

    async with (
        scripted(serve) as address,
        transport_to(address) as transport,
        transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream,
    ):
        await stream.finish_sending()
        await read.wait()
        assert await stream.receive() == large


async def test_more_data_than_the_window_is_a_stream_error() -> None:
    """A server that ignores the window of a stream has it reset (6.9.1)."""
    received: list[tuple[int, int]] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        await peer.request()
        peer.send(head(1), *[data(1, prefixed(bytes(16_000)))] * 5)
        received.append(await peer.reset_code())

    async with (
        scripted(serve) as address,
        transport_to(address) as transport,
        transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream,
    ):
        await stream.finish_sending()
        assert await stream.code() is Code.INTERNAL
    assert received == [(1, ErrorCode.FLOW_CONTROL_ERROR)]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCode.NO_ERROR, Code.INTERNAL),
        (ErrorCode.INTERNAL_ERROR, Code.INTERNAL),
        (ErrorCode.CANCEL, Code.CANCELLED),
        (ErrorCode.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED),
        (ErrorCode.INADEQUATE_SECURITY, Code.PERMISSION_DENIED),
        (0xFFFF, Code.INTERNAL),
    ],
)
async def test_a_reset_is_a_status(code: int, status: Code) -> None:
    """The error codes of RST_STREAM become the statuses in gRPC's PROTOCOL-HTTP2.md."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        peer.send(frames.rst_stream(await peer.request(), code))
        await peer.wait_closed()

    async with scripted(serve) as address:
        error = await failed(address)
    assert (error.code, error.is_sent) == (status, False)


@pytest.mark.parametrize(
    ("http", "status"),
    [("400", 13), ("401", 16), ("403", 7), ("404", 12), ("429", 14), ("502", 14), ("503", 14), ("504", 14), ("500", 2)],
)
@pytest.mark.parametrize("ends", [True, False])
async def test_an_http_status_is_a_status(http: str, status: int, ends: bool) -> None:
    """A response without grpc-status has the status of gRPC's http-grpc-status-mapping.md, with a page or without."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        fields = [(":status", http), ("content-type", "text/html")]
        peer.send(trailers(stream, fields) if ends else head(stream, fields) + data(stream, b"<html>", 1))
        await peer.wait_closed()

    async with scripted(serve) as address:
        error = await failed(address)
    assert (error.code, error.is_sent) == (status, False)


async def test_a_response_of_trailers_only() -> None:
    """An error in one HEADERS frame has its code, its percent-encoded message and its trailing metadata."""
    fields = [*HEAD, ("grpc-status", "5"), ("grpc-message", "caf%C3%A9 "), ("x-a", "b"), ("x-b-bin", "AP8,AA==")]

    async def serve(peer: Peer) -> None:
        await peer.start()
        peer.send(trailers(await peer.request(), fields))
        await peer.wait_closed()

    async with scripted(serve) as address:
        error = await failed(address)
    assert (error.code, error.text, error.is_sent) == (Code.NOT_FOUND, "café ", True)
    assert error.initial_metadata == ()
    assert error.trailing_metadata == (("x-a", "b"), ("x-b-bin", b"\0\xff"), ("x-b-bin", b"\0"))


async def test_a_cancelled_call_is_reset() -> None:
    """Cancelling sends RST_STREAM with CANCEL, and what still arrives of the stream is ignored (5.1)."""
    begun = asyncio.Event()
    received: list[tuple[int, int]] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        await peer.request()
        begun.set()
        received.append(await peer.reset_code())
        peer.answer(1)
        peer.send(frames.rst_stream(1, 8), frames.window_update(1, 1))
        peer.answer(await peer.request(), b"next")

    async with scripted(serve) as address, transport_to(address) as transport:
        calling = asyncio.create_task(call(transport))
        await begun.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert (await call(transport)).message == b"next"
    assert received == [(1, ErrorCode.CANCEL)]


async def test_a_deadline_resets_the_call() -> None:
    """A call whose deadline passes fails by our own timer, and is cancelled."""
    received: list[tuple[int, int]] = []

    async def serve(peer: Peer) -> None:
        await peer.start()
        received.append(await peer.reset_code())

    async with scripted(serve) as address, transport_to(address) as transport:
        await transport.check()  # a call that is still without a connection has nothing to reset
        with pytest.raises(CallError) as caught:
            await call(transport, timeout_s=0.1)
        assert caught.value.code is Code.DEADLINE_EXCEEDED
    assert received == [(1, ErrorCode.CANCEL)]


async def test_deadlines_that_pass_harm_no_later_call() -> None:
    """Calls whose deadline passes at once give their streams back, and the connection's window for all that arrives of
    them later (5.1, 6.9). The server allows one stream, and sends more for calls that have ended than the window holds.
    """
    calls, answer_bytes = 300, 4 * 15_000
    allowed = CONNECTION_WINDOW_BYTES

    async def send_late(peer: Peer, stream: int) -> None:
        nonlocal allowed
        peer.send(head(stream))
        for _ in range(4):
            while allowed < answer_bytes // 4:
                _, _, updated, payload = await peer.next(frames.WINDOW_UPDATE)
                assert updated == 0
                allowed += frames.parse_uint32(payload)
            allowed -= answer_bytes // 4
            peer.send(data(stream, bytes(answer_bytes // 4)))

    async def serve(peer: Peer) -> None:
        await peer.start({3: 1})
        ended = [(await peer.reset_code())[0] for _ in range(calls)]
        last = await peer.request()
        for stream in ended:
            await send_late(peer, stream)
        peer.answer(last)
        await peer.wait_closed()

    assert calls * answer_bytes > CONNECTION_WINDOW_BYTES
    async with scripted(serve) as address, transport_to(address) as transport:
        await transport.check()
        for _ in range(calls):
            with pytest.raises(CallError) as caught:
                await unary(transport, b"question", timeout_s=1e-6)
            assert caught.value.code is Code.DEADLINE_EXCEEDED
        assert (await call(transport)).message == b"answer"


async def test_an_early_end_stops_the_request() -> None:
    """A server may answer before the request has been sent: the rest is not sent, and the stream is reset (8.1)."""
    received: list[tuple[int, int]] = []

    async def serve(peer: Peer) -> None:
        await peer.start({4: 10})
        await peer.next(frames.DATA)
        peer.answer(1)
        received.append(await peer.reset_code())
        await peer.wait_closed()

    async with scripted(serve) as address, transport_to(address) as transport:
        assert (await call(transport, bytes(1000))).message == b"answer"
    assert received == [(1, ErrorCode.NO_ERROR)]


@pytest.mark.parametrize("messages", [[], [b"a", b"b"]])
async def test_a_unary_call_has_one_message(messages: list[bytes]) -> None:
    """A response without a message is None, which channels reject; two messages are an error."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(head(stream), *(data(stream, prefixed(message)) for message in messages), trailers(stream))
        await peer.wait_closed()

    async with scripted(serve) as address, transport_to(address) as transport:
        if not messages:
            assert await unary(transport, b"") is None
            return
        with pytest.raises(CallError) as caught:
            await unary(transport, b"")
    assert caught.value.code is Code.INTERNAL


async def test_a_quiet_server_is_pinged_and_given_up() -> None:
    """A connection with calls is pinged after a pause, and ends if nothing comes back."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        await peer.request()
        assert (await peer.next(frames.PING))[1] == 0
        await peer.wait_closed()

    async with scripted(serve) as address, transport_to(address, keepalive_s=0.05) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
    assert (caught.value.code, caught.value.text) == (Code.UNAVAILABLE, "the peer answers no pings")


async def test_a_silent_connection_gets_no_more_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may vanish without a trace. When a call expires and nothing has arrived since it was made, the next one
    goes to another connection, and the silent one ends unless it answers a ping.
    """
    monkeypatch.setattr("mesh.http2.client.call.SILENT_S_MIN", 0)
    monkeypatch.setattr("mesh.http2.keepalive.ANSWER_S_MAX", 0.05)

    async def vanish(peer: Peer) -> None:
        await peer.start()
        await peer.next(frames.HEADERS)
        peer.answer(await peer.request())
        await peer.wait_closed()

    async with (
        scripted(vanish, serve_well) as address,
        transport_to(address) as transport,
        transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream,
    ):
        await call(transport)
        with pytest.raises(CallError) as caught:
            await call(transport, timeout_s=0.1)
        assert caught.value.code is Code.DEADLINE_EXCEEDED
        assert (await call(transport)).message == b"answer"
        assert await stream.code() is Code.UNAVAILABLE


async def test_a_slow_server_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers the ping gets the next call, and no second ping before it has answered a call."""
    monkeypatch.setattr("mesh.http2.client.call.SILENT_S_MIN", 0)
    pings = 0

    async def serve(peer: Peer) -> None:
        nonlocal pings
        await peer.start()
        while True:
            kind, _, stream, payload = await peer.next(frames.PING, frames.DATA)
            if kind == frames.PING:
                pings += 1
                peer.send(frames.frame(frames.PING, frames.ACK, 0, payload))
            elif payload == prefixed(b"fast"):
                peer.answer(stream)

    async def never_ready(peer: Peer) -> None:
        await peer.wait_closed()

    async with scripted(serve, never_ready) as address, transport_to(address) as transport:
        for _ in range(3):
            with pytest.raises(CallError) as caught:
                await call(transport, b"slow", timeout_s=0.2)
            assert caught.value.code is Code.DEADLINE_EXCEEDED
        assert (await call(transport, b"fast")).message == b"answer"
        assert pings == 1
        with pytest.raises(CallError):
            await call(transport, b"slow", timeout_s=0.2)
        assert (await call(transport, b"fast")).message == b"answer"
    assert pings == 2


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_server_that_sends_no_more_ends_the_connection(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A server may close its side of the connection and read nothing while our buffer for it is full."""

    async def fill() -> None:
        is_full = asyncio.Event()

        async def half_close(peer: Peer) -> None:
            await peer.read_preface()
            peer.send(frames.settings({4: 2**31 - 1}), frames.window_update(0, 2**30))
            peer.pause_reading()
            await is_full.wait()
            peer.send_eof()
            await ended.wait()

        ended = asyncio.Event()
        async with (
            scripted(half_close, serve_well) as address,
            transport_to(address) as transport,
            transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream,
        ):
            sending = asyncio.create_task(stream.send(bytes(64_000_000)))
            sender, sent_before = stream._call.connection.sender, None
            while sent_before != sender._window:
                sent_before = sender._window
                await asyncio.sleep(0.2)
            is_full.set()
            async with asyncio.timeout(20):
                assert await stream.code() is Code.UNAVAILABLE
            ended.set()
            assert not await sending
            assert (await call(transport)).message == b"answer"

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(fill())


async def test_servers_choose_the_size_of_their_table() -> None:
    """The first block of the client updates the size, which servers with a smaller table wait for (RFC 7541, 4.2)."""
    decoder = Decoder()

    async def serve(peer: Peer) -> None:
        await peer.start({1: 100})
        decoder.max_allowed_table_size = 100
        for _ in range(2):
            _, _, stream, payload = await peer.next(frames.HEADERS)
            fields: dict[Any, Any] = dict(decoder.decode(payload))
            assert fields[":method"] == "POST"
            await peer.request()
            peer.answer(stream)

    async with scripted(serve) as address, transport_to(address) as transport:
        for _ in range(2):
            assert (await call(transport)).message == b"answer"
