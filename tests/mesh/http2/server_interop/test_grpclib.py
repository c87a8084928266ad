"""The client of grpclib, on which our Python client stands: its HTTP/2 is that of h2, with a header table."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpclib.client import Channel, StreamStreamMethod, StreamUnaryMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError

from tests.mesh.http2.server.scripted import serving
from tests.mesh.http2.server_interop.plain import COUNT, ECHO, FAIL, ROUTES, SUM, UNARY, WAIT

LARGE = bytes(1_000_000)


class Bytes(CodecBase):
    """Messages that are bytes already."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, _message_type: Any) -> bytes:
        """Returns the message."""
        return bytes(message)

    def decode(self, data: bytes, _message_type: Any) -> Any:
        """Returns the message."""
        return data


@pytest.fixture
async def channel() -> AsyncIterator[Channel]:
    """A channel to a server."""
    async with serving(ROUTES) as served, Channel("127.0.0.1", served.port, codec=Bytes()) as channel:
        yield channel


async def test_every_kind_of_method(channel: Channel) -> None:
    """With messages that are larger than the windows."""
    assert await UnaryUnaryMethod(channel, UNARY, bytes, bytes)(LARGE) == LARGE
    assert await UnaryStreamMethod(channel, COUNT, bytes, bytes)(LARGE) == [LARGE] * 3
    assert await StreamUnaryMethod(channel, SUM, bytes, bytes)([LARGE, b"a"]) == LARGE + b"a"
    assert await StreamStreamMethod(channel, ECHO, bytes, bytes)([LARGE, b"a"]) == [LARGE, b"a"]


async def test_errors(channel: Channel) -> None:
    """The text of an error, an unknown method, and a deadline."""
    with pytest.raises(GRPCError, match=" ☺ %"):
        await UnaryUnaryMethod(channel, FAIL, bytes, bytes)(" ☺ %".encode())
    with pytest.raises(GRPCError, match="UNIMPLEMENTED"):
        await UnaryUnaryMethod(channel, "/plain.Service/No", bytes, bytes)(b"a")
    with pytest.raises(TimeoutError):
        await UnaryUnaryMethod(channel, WAIT, bytes, bytes)(b"a", timeout=0.1)
    assert await UnaryUnaryMethod(channel, UNARY, bytes, bytes)(b"a") == b"a"
