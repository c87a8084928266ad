"""The header blocks of requests and responses: RFC 9113, section 8, RFC 7541 and gRPC's PROTOCOL-HTTP2.md."""

import functools

import pytest
from hpack import Encoder

from mesh.http2 import frames, hpack
from mesh.http2.faults import ErrorCode
from tests.mesh.http2.scripted import data, prefixed
from tests.mesh.http2.server.scripted import ENDS, Fields, fields, head, request, serving


@pytest.mark.parametrize("table_bytes", [0, 100])
async def test_clients_choose_the_size_of_their_table(table_bytes: int) -> None:
    """The first block of the server updates the size, which clients with a smaller table wait for (RFC 7541, 4.2)."""
    async with serving() as served, served.client({1: table_bytes}) as client:
        client.decoder.max_allowed_table_size = table_bytes
        client.send(request(1), request(3))
        assert [(await client.response(stream)).code for stream in (1, 3)] == ["0", "0"]


MALFORMED: list[Fields] = [
    fields(method=None),
    fields(path=None),
    fields(path=""),
    fields(scheme=None),
    [*fields(), (":path", "/plain.Service/Wait")],
    [(":path", "/plain.Service/Do"), *fields()],
    [*fields(), (":status", "200")],
    [(":protocol", "websocket"), *fields()],
    [*fields()[1:], (":method", "POST")],
    fields(te="gzip"),
    fields(te="trailers, gzip"),
    [*fields(), ("X-A", "b")],
    [*fields(), ("x a", "b")],
    [*fields(), ("", "b")],
    [*fields(), ("x-ä", "b")],
    [*fields(), ("x-a", "a\r\nb: c")],
    [*fields(), ("x-a", "a\0b")],
    *[[*fields(), (name, "x")] for name in ("connection", "keep-alive", "proxy-connection", "upgrade")],
    [*fields(), ("transfer-encoding", "chunked")],
    *[fields(content_length=length) for length in ("7", "12", "", "-1", "+13", "13, 13", "1" * 19)],
    [*fields(content_length="13"), ("content-length", "14")],
]


@pytest.mark.parametrize("sent", MALFORMED, ids=repr)
async def test_a_malformed_request_is_reset(sent: Fields) -> None:
    """A stream error of PROTOCOL_ERROR (8.1.1); the calls beside it go on."""
    async with serving() as served, served.client() as client:
        client.send(head(1, sent), data(1, prefixed(b"question"), frames.END_STREAM), request(3))
        assert await client.reset_code() == (1, ErrorCode.PROTOCOL_ERROR)
        assert (await client.response(3)).code == "0"
        assert served.handlers.requests == [b"question"]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"method": "GET"}, "405"),
        ({"method": "CONNECT"}, "405"),
        ({"content_type": None}, "415"),
        ({"content_type": "application/json"}, "415"),
        ({"content_type": "application/grpc+json"}, "415"),
        ({"content_type": "application/grpcx"}, "415"),
        ({"content_type": "application/grpc-web"}, "415"),
    ],
)
async def test_a_request_that_is_not_grpc_gets_an_http_status(changed: dict[str, str | None], status: str) -> None:
    """PROTOCOL-HTTP2 asks for 415, and HTTP for 405."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields(**changed), ENDS))
        assert (await client.response(1)).trailers == [(":status", status)]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"path": "/plain.Service/None"}, "12"),
        ({"path": "*"}, "12"),
        ({"path": "/plain.Service/Do?a=b"}, "12"),
        ({"grpc_encoding": "snappy"}, "12"),
        ({"grpc_encoding": ""}, "12"),
        ({"x_a": "v" * 17_000}, "8"),
        *[({"grpc_timeout": wrong}, "13") for wrong in ("", "1", "S", "-1S", "1.5S", "123456789n", "1s", "1 S", "1SS")],
    ],
)
async def test_a_call_that_cannot_be_is_answered(changed: dict[str, str | None], code: str) -> None:
    """An answer of gRPC has the status in trailers alone, and the encodings that are accepted."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields(**changed)), data(1, prefixed(b"question"), frames.END_STREAM), request(3))
        response = await client.response(1)
        assert (response.headers, response.content) == ([], b"")
        assert response.trailers[:3] == [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-accept-encoding", "identity,deflate,gzip"),
        ]
        assert response.code == code
        assert (await client.response(3)).code == "0"


@pytest.mark.parametrize(
    "changed",
    [
        *[{"grpc_timeout": timeout} for timeout in ("99999999H", "2M", "1S", "99999m", "99999999u", "99999999n")],
        {"content_type": "application/grpc+proto"},
        {"content_type": "application/grpc;charset=utf-8"},
        {"te": None, "authority": None},
        {"content_length": "13"},
        {"grpc_encoding": "gzip", "x_a_bin": "AP8", "x-b": "ä", "x-c": " \t", "cookie": "a=b"},
    ],
)
async def test_a_call_in_any_form_is_served(changed: dict[str, str | None]) -> None:
    """All units of timeouts, subtypes and parameters of the content type, metadata of any kind."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields(**changed)), data(1, prefixed(b"question"), frames.END_STREAM))
        response = await client.response(1)
        assert (response.code, response.content) == ("0", prefixed(b"question"))


async def test_the_table_of_a_client_is_kept() -> None:
    """Also through blocks of requests that are refused, malformed or of streams that have ended, and trailers."""
    encoder = Encoder()
    encoded = functools.partial(head, encoder=encoder)
    async with serving() as served, served.client() as client:
        client.send(encoded(1, [*fields(), ("x-1", "a")]), frames.rst_stream(1, ErrorCode.CANCEL))
        client.send(encoded(1, [("x-2", "b")], ENDS))
        client.send(encoded(3, [*fields(te="x"), ("x-3", "c")], ENDS))
        client.send(encoded(5, [*fields(), ("x-4", "d" * 17_000), ("x-5", "e")], ENDS))
        client.send(
            encoded(7, [*fields("Wait"), ("x-6", "f")]), data(7, prefixed(b"")), encoded(7, [("x-7", "g")], ENDS)
        )
        seen = [(f"x-{number}", letter) for number, letter in zip((1, 2, 3, 5, 6, 7), "abcefg", strict=True)]
        client.send(encoded(9, [*fields(), *seen]), data(9, prefixed(b"question"), frames.END_STREAM))
        assert (await client.response(9)).code == "0"
        encoder.header_table_size = 0
        encoder.header_table_size = 4_096
        client.send(encoded(11, fields()), data(11, prefixed(b"question"), frames.END_STREAM))
        client.send(encoded(13, fields()), data(13, prefixed(b"question"), frames.END_STREAM))
        assert [(await client.response(stream)).code for stream in (11, 13)] == ["0", "0"]


BOMB = b"\x40\x01a" + hpack.encode_string(b"v" * 4_000) + b"\xbe" * 12_000
"""A field, and many references to it."""


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(b"\xff\xff\xff\xff\xff\xff\x0f", ErrorCode.COMPRESSION_ERROR, id="an endless integer"),
        pytest.param(b"\xbe", ErrorCode.COMPRESSION_ERROR, id="a field that is not in the table"),
        pytest.param(b"\x3f\xe2\x1f", ErrorCode.COMPRESSION_ERROR, id="a table of 4097 bytes"),
        pytest.param(BOMB, ErrorCode.ENHANCE_YOUR_CALM, id="a bomb"),
    ],
)
async def test_a_block_that_cannot_be_decoded_ends_the_connection(sent: bytes, code: ErrorCode) -> None:
    """The next blocks could not be decoded either: RFC 9113, section 4.3."""
    async with serving() as served, served.client() as client:
        client.send(frames.frame(frames.HEADERS, ENDS, 1, sent))
        assert await client.error_code() == code
        await client.wait_closed()
        await served.check()


async def test_the_trailers_of_an_error() -> None:
    """The message is percent-encoded in UTF-8, binary metadata in base64 without padding."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields("Fail")))
        response = await client.response(1)
        assert response.trailers[3:] == [
            ("grpc-status", "5"),
            ("grpc-message", "50 %25 of%0A%C3%84 ~%7F"),
            ("x-a", "a"),
            ("x-b-bin", "AP8"),
            ("x-b-bin", ""),
        ]


@pytest.mark.parametrize("method", ["Do", "Hang"])
async def test_a_request_that_announces_data_and_has_none_is_reset(method: str) -> None:
    """Content-length counts also if the headers are the end of the request (8.1.1)."""
    async with serving() as served, served.client() as client:
        client.send(head(1, fields(method, content_length="5"), ENDS), request(3))
        assert await client.reset_code() == (1, ErrorCode.PROTOCOL_ERROR)
        assert (await client.response(3)).code == "0"
        assert served.held_bytes == 0
