"""Streamed replies: which messages the server gets for them."""

import zlib
from collections.abc import MutableMapping
from typing import Any

from edge.http.cors import Cors
from edge.http.reply_writer import ReplyWriter
from edge.http.request import Request, Scope

LINES = b"application/x-ndjson"


def writer_of(sent: list[MutableMapping[str, Any]], *headers: tuple[bytes, bytes]) -> ReplyWriter:
    """Returns the writer of the reply to a GET with these headers. It adds what the server gets to `sent`."""
    scope: Scope = {"type": "http", "method": "GET", "raw_path": b"/", "query_string": b"", "headers": list(headers)}
    scope.update(client=None, state={})

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("the reply needs no body")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    return ReplyWriter(Request.of(scope, receive), send, Cors((), 0))


async def test_pieces_leave_together() -> None:
    """Pieces that are written before a flush, or before the end, are one message."""
    sent: list[MutableMapping[str, Any]] = []
    writer = writer_of(sent)
    assert await writer.start(200, [(b"content-type", LINES)])
    for piece in (b"1", b"2"):
        await writer.write(piece)
    assert [message["type"] for message in sent] == ["http.response.start"]
    await writer.flush()
    await writer.flush()
    for piece in (b"3", b"4"):
        await writer.write(piece)
    await writer.end()
    await writer.end()
    bodies = [(message["body"], message.get("more_body", False)) for message in sent[1:]]
    assert bodies == [(b"12", True), (b"34", False)]


async def test_what_is_flushed_can_be_decoded() -> None:
    """A compressed piece does not wait for the next one in the encoder."""
    sent: list[MutableMapping[str, Any]] = []
    writer = writer_of(sent, (b"accept-encoding", b"gzip"))
    await writer.start(200, [(b"content-type", LINES)])
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
    await writer.write(b"1")
    await writer.write(b"2")
    await writer.flush()
    assert decoder.decompress(sent[-1]["body"]) == b"12"
    await writer.write(b"3")
    await writer.end()
    assert decoder.decompress(sent[-1]["body"]) == b"3"
    assert decoder.eof
