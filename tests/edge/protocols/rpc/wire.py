"""Envelopes on the wire, as the tests write and read them."""

import json
import struct
from typing import Any

TRAILERS = 0x80
END_STREAM = 0x02


def sealed(*messages: bytes, flags: int = 0) -> bytes:
    """Returns the messages in their envelopes."""
    return b"".join(struct.pack(">BI", flags, len(message)) + message for message in messages)


def unsealed(body: bytes) -> list[tuple[int, bytes]]:
    """Returns the flags and the content of each envelope in a body."""
    found = []
    while body:
        flags, length = struct.unpack_from(">BI", body)
        assert len(body) >= 5 + length, "the body ends inside an envelope"
        found.append((flags, body[5 : 5 + length]))
        body = body[5 + length :]
    return found


def connect_stream(body: bytes) -> tuple[list[bytes], dict[str, Any]]:
    """Returns the messages of a Connect stream, and its EndStreamResponse."""
    *messages, (flags, end) = unsealed(body)
    assert flags == END_STREAM
    assert all(flags == 0 for flags, _ in messages)
    return [content for _, content in messages], json.loads(end)


def grpc_web(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    """Returns the messages of a gRPC-Web response, and its trailers."""
    *messages, (flags, end) = unsealed(body)
    assert flags == TRAILERS
    assert end.endswith(b"\r\n")
    lines = [line.partition(": ") for line in end.decode().split("\r\n")[:-1]]
    return [content for _, content in messages], {name: value for name, _, value in lines}
