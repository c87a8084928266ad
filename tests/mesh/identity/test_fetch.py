"""JSON over HTTP: every behaviour of the server leads to a result or an error, within bounded time and memory."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from mesh.identity.fetch import ANSWER_BYTES_MAX, FetchError, fetch_json

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def answering(answer: Answer, secure: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Starts a server that reads a request and sends this response; returns its URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError), contextlib.closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=secure) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"{'https' if secure else 'http'}://127.0.0.1:{port}/keys"


def text(status: str, body: bytes = b"", *headers: str) -> Answer:
    """Returns a complete response."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)

    return answer


async def test_https_works_with_a_trusted_certificate(certificate: ssl.SSLContext) -> None:
    """The trusted authorities are those of the machine."""
    async with answering(text("200 OK", b'{"keys": []}'), certificate) as url:
        assert await fetch_json(url, timeout_s=30) == {"keys": []}


async def test_https_without_a_trusted_certificate_is_an_error(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys from an untrusted server are not accepted."""
    monkeypatch.delenv("SSL_CERT_FILE")
    async with answering(text("200 OK", b"{}"), certificate) as url:
        with pytest.raises(FetchError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch_json(url, timeout_s=30)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (text("404 Not Found", b"{}"), "the answer has status 404"),
        (text("302 Found", b"{}", "Location: http://127.0.0.1:1/"), "the answer has status 302"),
        (text("200 OK", b"<html>"), "Expecting value"),
        (text("200 OK", b"\xff"), "can't decode"),
        (text("200 OK", b"[" * 100_000), "recursion"),
        (text("200 OK", b" " * (ANSWER_BYTES_MAX + 1)), "the answer is larger than 1048576 bytes"),
        (text("whatever"), "HTTP/1.1 whatever"),
    ],
    ids=["status", "redirect", "html", "bytes", "depth", "size", "no HTTP"],
)
async def test_an_unusable_response_is_an_error(answer: Answer, said: str) -> None:
    """Redirects are not followed, because they could send credentials elsewhere."""
    async with answering(answer) as url:
        with pytest.raises(FetchError, match=said):
            await fetch_json(url, timeout_s=30)


async def test_an_unreachable_server_is_an_error() -> None:
    """A closed port and a host that does not exist are errors."""
    async with answering(text("200 OK")) as url:
        pass
    for gone in (url, "http://host.invalid/keys"):
        with pytest.raises(FetchError):
            await fetch_json(gone, timeout_s=30)


async def test_an_endless_response_is_abandoned() -> None:
    """The caller continues at the timeout, and the connection is closed."""
    begun, left = asyncio.Event(), asyncio.Event()

    async def trickle(writer: asyncio.StreamWriter) -> None:
        begun.set()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            left.set()

    async with answering(trickle) as url:
        while not begun.is_set():  # the request may not arrive before its timeout
            with pytest.raises(FetchError):
                await fetch_json(url, timeout_s=0.1)
        await left.wait()
