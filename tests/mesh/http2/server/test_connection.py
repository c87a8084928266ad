"""The rules of RFC 9113 for a server, each with a client that keeps or breaks it."""

import asyncio
import gzip
import struct
import zlib

import pytest

from mesh.http2 import frames
from mesh.http2.connection import PREFACE
from mesh.http2.faults import ErrorCode
from mesh.http2.server.call import Route, ServerCall
from mesh.http2.server.connection import STREAMS_MAX
from mesh.http2.windows import WINDOW_BYTES
from tests.mesh.http2.scripted import PATH, block, data, prefixed
from tests.mesh.http2.server.scripted import ENDS, MESSAGE_BYTES_MAX, fields, head, request, serving


async def test_the_settings_of_the_server() -> None:
    """They come first, and the client's are acknowledged (3.4, 6.5.3). A piece may hold less than a frame."""
    async with serving() as served, served.client(starts=False) as client:
        for byte in PREFACE + frames.settings({}) + request(1):
            client.send(bytes((byte,)))
            await asyncio.sleep(0)
        kind, flags, stream, payload = await client.frame()
        assert (kind, flags, stream) == (frames.SETTINGS, 0, 0)
        assert dict(struct.iter_unpack(">HL", payload)) == {3: STREAMS_MAX, 4: WINDOW_BYTES, 6: 16_384}
        assert await client.next(frames.SETTINGS) == (frames.SETTINGS, frames.ACK, 0, b"")
        assert (await client.response(1)).code == "0"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ErrorCode.PROTOCOL_ERROR, id="HTTP/1.1"),
        pytest.param(PREFACE[:-1] + b"x", ErrorCode.PROTOCOL_ERROR, id="a wrong preface"),
        pytest.param(PREFACE + request(1), ErrorCode.PROTOCOL_ERROR, id="no settings"),
        pytest.param(PREFACE + frames.frame(frames.SETTINGS, 1, 0), ErrorCode.PROTOCOL_ERROR, id="an ack first"),
        pytest.param(PREFACE + frames.frame(0xBE, 0, 0), ErrorCode.PROTOCOL_ERROR, id="an unknown frame first"),
        pytest.param(PREFACE + frames.settings({2: 2}), ErrorCode.PROTOCOL_ERROR, id="ENABLE_PUSH of 2: 6.5.2"),
        pytest.param(PREFACE + frames.settings({4: 2**31}), ErrorCode.FLOW_CONTROL_ERROR, id="a window of 2^31"),
        pytest.param(PREFACE + frames.settings({5: 16_383}), ErrorCode.PROTOCOL_ERROR, id="frames below 2^14"),
        pytest.param(PREFACE + frames.settings({5: 2**24}), ErrorCode.PROTOCOL_ERROR, id="frames of 2^24"),
    ],
)
async def test_a_wrong_start_ends_the_connection(sent: bytes, code: ErrorCode) -> None:
    """Section 3.4. GOAWAY has the error code, and the others are served."""
    async with serving() as served, served.client(starts=False) as client:
        client.send(sent)
        assert await client.error_code() == code
        await client.wait_closed()
        await served.check()


@pytest.mark.parametrize("settings", [{2: 0}, {2: 1}, {3: 0}, {0xABCD: 5}, {4: 0, 5: 2**24 - 1}, {6: 0}])
async def test_settings_of_a_client(settings: dict[int, int]) -> None:
    """Those are allowed. Unknown ones are ignored: section 6.5.2."""
    async with serving() as served, served.client(settings) as client:
        client.send(request(1), frames.window_update(1, 100))
        assert (await client.response(1)).code == "0"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(struct.pack(">BHBBL", 0, 16_385, 0, 0, 1), ErrorCode.FRAME_SIZE_ERROR, id="frame too large: 4.2"),
        pytest.param(head(5, flags=0) + data(1, b""), ErrorCode.PROTOCOL_ERROR, id="interrupted block: 6.10"),
        pytest.param(head(5, flags=0) + head(7), ErrorCode.PROTOCOL_ERROR, id="another block within: 6.10"),
        pytest.param(
            head(5, flags=0) + frames.frame(frames.CONTINUATION, 4, 7), ErrorCode.PROTOCOL_ERROR, id="other's: 6.10"
        ),
        pytest.param(frames.frame(frames.CONTINUATION, 4, 5, b"\x88"), ErrorCode.PROTOCOL_ERROR, id="no block: 6.10"),
        pytest.param(head(0), ErrorCode.PROTOCOL_ERROR, id="HEADERS of no stream: 6.2"),
        pytest.param(head(2), ErrorCode.PROTOCOL_ERROR, id="HEADERS of an even stream: 5.1.1"),
        pytest.param(frames.frame(frames.HEADERS, 0xC, 5, b"\x09\x88"), ErrorCode.PROTOCOL_ERROR, id="padding: 6.2"),
        pytest.param(frames.frame(frames.HEADERS, 0x24, 5, b"1234"), ErrorCode.FRAME_SIZE_ERROR, id="priority: 6.2"),
        pytest.param(data(0, b"x"), ErrorCode.PROTOCOL_ERROR, id="DATA of no stream: 6.1"),
        pytest.param(data(5, b"x"), ErrorCode.PROTOCOL_ERROR, id="DATA of an idle stream: 5.1"),
        pytest.param(data(1, b"\x05abcd", frames.PADDED), ErrorCode.PROTOCOL_ERROR, id="padding of data: 6.1"),
        pytest.param(data(1, b"", frames.PADDED), ErrorCode.PROTOCOL_ERROR, id="no length of padding: 6.1"),
        pytest.param(frames.rst_stream(5, 8), ErrorCode.PROTOCOL_ERROR, id="RST_STREAM of an idle stream: 6.4"),
        pytest.param(frames.rst_stream(0, 8), ErrorCode.PROTOCOL_ERROR, id="RST_STREAM of no stream: 6.4"),
        pytest.param(frames.frame(frames.RST_STREAM, 0, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR, id="3 bytes: 6.4"),
        pytest.param(frames.frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR, id="SETTINGS of a stream: 6.5"),
        pytest.param(frames.frame(frames.SETTINGS, 0, 0, bytes(5)), ErrorCode.FRAME_SIZE_ERROR, id="5 bytes: 6.5"),
        pytest.param(frames.frame(frames.SETTINGS, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR, id="a full ack: 6.5"),
        pytest.param(frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR, id="a push: 8.4"),
        pytest.param(frames.frame(frames.PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR, id="PING of a stream: 6.7"),
        pytest.param(frames.frame(frames.PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR, id="7 bytes: 6.7"),
        pytest.param(frames.frame(frames.GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR, id="a stream's: 6.8"),
        pytest.param(frames.frame(frames.GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR, id="7 bytes: 6.8"),
        pytest.param(frames.window_update(5, 1), ErrorCode.PROTOCOL_ERROR, id="a window of an idle stream: 5.1"),
        pytest.param(frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR, id="a window by nothing: 6.9"),
        pytest.param(frames.window_update(0, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR, id="a window of 2^31: 6.9.1"),
        pytest.param(frames.frame(frames.WINDOW_UPDATE, 0, 0, b"1"), ErrorCode.FRAME_SIZE_ERROR, id="1 byte: 6.9"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR, id="of no stream: 6.3"),
        pytest.param(
            frames.window_update(1, 2**30) + frames.settings({4: 2**31 - 1}),
            ErrorCode.FLOW_CONTROL_ERROR,
            id="settings that make a window too large: 6.9.2",
        ),
    ],
)
async def test_a_fault_ends_the_connection(sent: bytes, code: ErrorCode) -> None:
    """Calls in progress are cancelled; GOAWAY has the error code and the last stream."""
    async with serving() as served, served.client() as client:
        client.send(request(1, "Wait"), head(3, fields("Hang")))
        await client.settle()
        client.send(sent)
        _, _, _, payload = await client.next(frames.GOAWAY)
        last, received = struct.unpack(">LL", payload)
        assert received == code
        assert last in (3, 5)
        await client.wait_closed()
        async with asyncio.timeout(20):
            while served.handlers.cancelled < 2:
                await asyncio.sleep(0.01)
        await served.check()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(data(1, b"x"), ErrorCode.STREAM_CLOSED, id="DATA after the end: 5.1"),
        pytest.param(head(1, [("x-a", "b")], ENDS), ErrorCode.STREAM_CLOSED, id="HEADERS after the end: 5.1"),
        pytest.param(head(3, [("x-a", "b")]), ErrorCode.PROTOCOL_ERROR, id="trailers without an end: 8.1"),
        pytest.param(head(3, [(":path", "/")], ENDS), ErrorCode.PROTOCOL_ERROR, id="a pseudo-field at the end: 8.1"),
        pytest.param(head(3, [("X-A", "b")], ENDS), ErrorCode.PROTOCOL_ERROR, id="upper case at the end: 8.2.1"),
        pytest.param(head(3, [("x-a", "b" * 20_000)], ENDS), ErrorCode.ENHANCE_YOUR_CALM, id="long trailers"),
        pytest.param(frames.window_update(1, 0), ErrorCode.PROTOCOL_ERROR, id="a window by nothing: 6.9"),
        pytest.param(frames.window_update(1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR, id="a window of 2^31: 6.9.1"),
        pytest.param(frames.frame(frames.PRIORITY, 0, 1, b"1234"), ErrorCode.FRAME_SIZE_ERROR, id="4 bytes: 6.3"),
        pytest.param(
            data(3, bytes(16_384)) * 3 + data(3, bytes(16_384)), ErrorCode.FLOW_CONTROL_ERROR, id="beyond the window"
        ),
    ],
)
async def test_a_fault_ends_the_stream(sent: bytes, code: ErrorCode) -> None:
    """It is reset with the error code and its handler is cancelled; the connection is as good as before."""
    async with serving() as served, served.client() as client:
        client.send(request(1, "Wait"), head(3, fields("Hang")))
        await client.settle()
        client.send(sent)
        stream, received = await client.reset_code()
        assert received == code
        client.send(request(5))
        assert (await client.response(5)).code == "0"
        assert served.handlers.cancelled == 1
        client.send(data(stream, b"late"), frames.window_update(stream, 1), frames.rst_stream(stream, 8), request(7))
        assert (await client.response(7)).code == "0"


async def test_what_must_be_ignored() -> None:
    """Unknown frames and flags, priorities, the reserved bit, and what comes late: sections 4.1, 5.1 and 5.5."""
    async with serving() as served, served.client() as client:
        client.send(frames.frame(0xBE, 0xFF, 7, b"any"), frames.frame(frames.PRIORITY, 0, 9, bytes(5)))
        client.send(frames.frame(frames.PING, 0, 1 << 31, b"reserved"))
        assert (await client.next(frames.PING))[1:] == (frames.ACK, 0, b"reserved")
        client.send(request(5))
        assert (await client.response(5)).code == "0"
        client.send(frames.rst_stream(5, 8), frames.window_update(5, 1), frames.goaway(0, 0), b"")
        await client.settle()
        client.send(request(7))
        assert (await client.response(7)).code == "0"


async def test_padding_priority_and_continuations() -> None:
    """Sections 6.1, 6.2 and 6.10: END_STREAM of HEADERS counts for the block."""
    encoded = block(fields())
    padded = bytes((9,)) + struct.pack(">LB", 3, 200) + encoded + bytes(9)
    async with serving() as served, served.client() as client:
        client.send(frames.frame(frames.HEADERS, 0x2C, 1, padded))
        client.send(data(1, bytes((3,)) + prefixed(b"question")[:6] + bytes(3), frames.PADDED))
        client.send(data(1, bytes((255,)) + prefixed(b"question")[6:] + bytes(255), frames.PADDED | frames.END_STREAM))
        assert (await client.response(1)).content == prefixed(b"question")
        pieces = [frames.frame(frames.CONTINUATION, 0, 3, bytes((byte,))) for byte in block(fields("Echoes"))]
        client.send(frames.frame(frames.HEADERS, frames.END_STREAM, 3), *pieces)
        client.send(frames.frame(frames.CONTINUATION, frames.END_HEADERS, 3))
        assert (await client.response(3)).code == "0"
        client.send(head(5), data(5, prefixed(b"question")), head(5, [("x-checksum", "1")], ENDS))
        assert (await client.response(5)).content == prefixed(b"question")


async def test_streams_beyond_the_limit_are_refused() -> None:
    """REFUSED_STREAM lets the client call again: section 5.1.2. There is room when streams have ended."""
    async with serving() as served, served.client() as client:
        for stream in range(1, 2 * STREAMS_MAX, 2):
            client.send(request(stream, "Wait"))
        await client.settle()
        refused = 2 * STREAMS_MAX + 1
        client.send(request(refused))
        assert await client.reset_code() == (refused, ErrorCode.REFUSED_STREAM)
        client.send(frames.rst_stream(1, ErrorCode.CANCEL), request(refused + 2))
        assert (await client.response(refused + 2)).code == "0"
        assert served.handlers.begun == STREAMS_MAX


async def test_calls_beyond_the_limit_of_the_server_are_rejected() -> None:
    """It counts the calls of all connections."""
    async with serving(calls_max=2) as served, served.client() as client, served.client() as other:
        for each in (client, other):
            each.send(request(1, "Wait"))
            await each.settle()
        other.send(request(3))
        assert (await other.response(3)).code == "8"
        client.reset()
        async with asyncio.timeout(20):
            while served.handlers.cancelled < 1:
                await asyncio.sleep(0.01)
        other.send(request(5))
        assert (await other.response(5)).code == "0"


async def test_a_large_message_arrives() -> None:
    """The windows are widened while it does, also that of the connection: six such messages are more than it holds."""
    async with serving() as served, served.client() as client:
        for stream in range(1, 13, 2):
            content, window = prefixed(bytes(MESSAGE_BYTES_MAX)), WINDOW_BYTES
            client.send(head(stream))
            while content:
                size = min(window, 16_384)
                if not size:
                    _, _, of, payload = await client.next(frames.WINDOW_UPDATE)
                    window += struct.unpack(">L", payload)[0] if of else 0
                    continue
                client.send(data(stream, content[:size], frames.END_STREAM if len(content) <= size else 0))
                window, content = window - size, content[size:]
            client.send(frames.window_update(stream, MESSAGE_BYTES_MAX), frames.window_update(0, MESSAGE_BYTES_MAX))
            assert len((await client.response(stream)).content) == MESSAGE_BYTES_MAX + 5


@pytest.mark.parametrize("takes_stream", [False, True])
async def test_a_message_that_is_too_large(takes_stream: bool) -> None:
    """Its prefix is enough to reject it, and nothing of it is kept."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields("Echoes" if takes_stream else "Do")))
        client.send(data(1, struct.pack(">BL", 0, MESSAGE_BYTES_MAX + 1) + bytes(1_000)))
        assert (await client.response(1)).code == "8"
        assert await client.reset_code() == (1, ErrorCode.NO_ERROR)
        assert served.held_bytes == 0


ZIPPED = gzip.compress(b"question", mtime=0)  # not the time, which would be in the names of tests


@pytest.mark.parametrize(
    ("encoding", "content", "code"),
    [
        ("gzip", b"\1" + prefixed(ZIPPED)[1:], "0"),
        ("deflate", b"\1" + prefixed(zlib.compress(b"question"))[1:], "0"),
        ("gzip", prefixed(b"question"), "0"),
        ("identity", b"\1" + prefixed(ZIPPED)[1:], "13"),
        (None, b"\1" + prefixed(ZIPPED)[1:], "13"),
        ("gzip", b"\1" + prefixed(b"question")[1:], "13"),
        ("gzip", b"\1" + prefixed(ZIPPED + b"x")[1:], "13"),
        ("gzip", b"\1" + prefixed(gzip.compress(bytes(MESSAGE_BYTES_MAX + 1), mtime=0))[1:], "8"),
        ("gzip", b"\2" + prefixed(b"question")[1:], "13"),
        (None, b"", "13"),
        (None, prefixed(b"question") * 2, "13"),
        (None, prefixed(b"question") + b"\0", "13"),
        (None, prefixed(b"question")[:-1], "13"),
    ],
)
@pytest.mark.parametrize("pieces", [1, 100])
async def test_the_messages_of_a_request(encoding: str | None, content: bytes, code: str, pieces: int) -> None:
    """A unary call has one message, whole, and compressed as grpc-encoding says: also in small pieces."""
    size = -(-len(content) // pieces) or 1
    async with serving() as served, served.client() as client:
        client.send(head(1, fields(grpc_encoding=encoding)))
        for start in range(0, len(content), size):
            client.send(data(1, content[start : start + size]))
        client.send(data(1, b"", frames.END_STREAM))
        response = await client.response(1)
        assert response.code == code
        assert response.content == (prefixed(b"question") if code == "0" else b"")


async def test_a_response_larger_than_the_windows() -> None:
    """Both windows count, also one that settings make negative (6.9.2); trailers come after the last byte."""
    async with serving() as served, served.client({4: 1_000}) as client:
        client.send(request(1, "Large", struct.pack(">L", 100_000)))
        received = 0

        async def receive(count: int) -> None:
            nonlocal received
            while count:
                _, flags, _, payload = await client.next(frames.DATA)
                assert not flags & frames.END_STREAM
                assert len(payload) <= count
                received, count = received + len(payload), count - len(payload)
            client.send(frames.frame(frames.PING, 0, 0, bytes(8)))
            assert (await client.next(frames.DATA, frames.PING))[0] == frames.PING

        await receive(1_000)
        client.send(frames.window_update(1, 500))
        await receive(500)
        client.send(frames.settings({4: 0}))
        await receive(0)
        client.send(frames.window_update(1, 1_000))  # the window is 0 now
        await receive(0)
        client.send(frames.window_update(1, 1))
        await receive(1)
        client.send(frames.settings({4: 100_000}))
        await receive(WINDOW_BYTES - received)
        client.send(frames.window_update(0, 100_000))
        response = await client.response(1)
        assert (response.code, len(response.content) + received) == ("0", 100_005)


async def test_streams_take_turns() -> None:
    """A stream whose window is full does not stop the others, nor does one with a large response."""
    async with serving() as served, served.client({4: 2**31 - 1}) as client:
        client.send(request(1, "Large", struct.pack(">L", MESSAGE_BYTES_MAX)))
        client.send(request(3, "Large", struct.pack(">L", MESSAGE_BYTES_MAX)))
        client.send(frames.window_update(0, 2**30))
        first = {(await client.next(frames.DATA))[2] for _ in range(40)}
        assert first == {1, 3}
        client.send(request(5))
        assert (await client.response(5)).code == "0"
        client.send(frames.rst_stream(1, 8), frames.rst_stream(3, 8))
        await client.settle()
        assert served.server.load._calls == served.held_bytes == 0


async def test_messages_of_a_stream_are_read_as_they_come() -> None:
    """The window is returned when the handler has read, so that a stream has no end of messages."""
    async with serving() as served, served.client({4: 2**31 - 1}) as client:
        client.send(frames.window_update(0, 2**30), head(1, fields("Echoes")))
        for _ in range(300):
            client.send(data(1, prefixed(bytes(1_000))))
            _, _, _, payload = await client.next(frames.DATA)
            assert payload == prefixed(bytes(1_000))
        client.send(data(1, b"", frames.END_STREAM))
        assert (await client.response(1)).code == "0"


async def test_messages_that_have_arrived_are_read_in_turns() -> None:
    """A stream of many small messages, which arrive together, does not make other calls wait until all are read."""
    others = asyncio.Event()
    read_before = 0

    async def serve(call: ServerCall) -> None:
        nonlocal read_before
        async for _ in call.requests():
            if not read_before:
                asyncio.get_running_loop().call_soon(others.set)
            read_before += not others.is_set()
        call.finish(b"answer")

    routes = {PATH: Route(serve, takes_stream=True, message_bytes_max=MESSAGE_BYTES_MAX)}
    async with asyncio.timeout(30), serving(routes) as served, served.client() as client:
        client.send(head(1), data(1, prefixed(b"tiny") * 1_800, frames.END_STREAM))
        await client.next(frames.DATA)
    assert 0 < read_before < 100
