"""The HTTP client of webhooks against real receivers, with name servers that lie."""

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.notifications.domain.reachable_addresses import ReachableAddresses
from services.notifications.domain.webhook_delivery import Attempt
from services.notifications.senders.resolver import (
    LOOKUPS_PER_OWNER_MAX,
    THREADS_MAX,
    Resolver,
    UnreachableHost,
)
from services.notifications.senders.webhook_client import RESPONSE_BYTES_MAX, WebhookClient
from tests.services.notifications.receiver import Names, Receiver, response

LOOPBACK = ReachableAddresses([ipaddress.ip_network("127.0.0.0/8")])
ADA = "users/ada"
ONE = ReachableAddresses([ipaddress.ip_network("127.0.0.1/32")])


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver without TLS."""
    async with Receiver().listening() as receiver:
        yield receiver


async def post(
    url: str,
    reachable: ReachableAddresses = LOOPBACK,
    names: Names | None = None,
    *,
    http_allowed: bool = True,
    timeout_s: float = 10,
) -> Attempt:
    """Sends a body to a URL."""
    client = WebhookClient(Resolver(reachable, names), http_allowed=http_allowed, timeout_s=timeout_s)
    return await client.post(url, b'{"a":1}', {"webhook-id": "msg_1"}, owner=ADA)


@pytest.mark.parametrize(
    ("path", "target"), [("/hook;key=1", "/hook;key=1"), ("/a;b/c;d?e=f", "/a;b/c;d?e=f"), ("?a=1", "/?a=1"), ("", "/")]
)
async def test_the_target_of_a_request_is_that_of_the_url(receiver: Receiver, path: str, target: str) -> None:
    """A semicolon and what follows belongs to it (RFC 3986, section 3.3)."""
    assert (await post(receiver.url(path=path))).succeeded
    assert [received.line for received in receiver.received] == [f"POST {target} HTTP/1.1"]


async def test_a_receiver_gets_the_request(receiver: Receiver) -> None:
    """The receiver gets the path, query, headers and body unchanged, and the name as the host."""
    attempt = await post(receiver.url("hook.test", path="/a/b?c=%C3%BC"), names=Names(hook_test=[["127.0.0.1"]]))
    assert (attempt.status, attempt.error, attempt.succeeded) == (200, "", True)
    [received] = receiver.received
    assert (received.line, received.body) == ("POST /a/b?c=%C3%BC HTTP/1.1", b'{"a":1}')
    assert received.headers["host"] == f"hook.test:{receiver.port}"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["webhook-id"] == "msg_1"


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_a_status_of_2xx_is_a_success(receiver: Receiver, status: int) -> None:
    """Every status from 200 to 299 is a success."""
    receiver.answer = response(status)
    attempt = await post(receiver.url())
    assert (attempt.status, attempt.succeeded) == (status, True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(receiver: Receiver, status: int) -> None:
    """It is a failure, and the place that it names gets no request."""
    async with Receiver().listening() as inside:
        receiver.answer = response(status, f"location: {inside.url()}")
        attempt = await post(receiver.url())
    assert (attempt.status, attempt.succeeded) == (status, False)
    assert inside.connections == 0


async def test_http_is_not_used_once_it_is_not_allowed_any_more(receiver: Receiver) -> None:
    """An endpoint may have been created while it was. The error is for its owner."""
    attempt = await post(receiver.url(), http_allowed=False)
    assert (attempt.status, attempt.error) == (None, "the URL does not begin with https://")
    assert receiver.connections == 0


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1"], ["10.0.0.1"], ["169.254.169.254"], ["::ffff:127.0.0.1"]])
async def test_a_name_of_a_private_address_gets_no_connection(receiver: Receiver, addresses: list[str]) -> None:
    """The error is for the owner of the endpoint."""
    attempt = await post(receiver.url("hook.test"), ReachableAddresses(), Names(hook_test=[addresses]))
    assert (attempt.status, attempt.error) == (None, "the host name does not lead to a public address")
    assert receiver.connections == 0


async def test_a_second_look_up_leads_nowhere(receiver: Receiver) -> None:
    """A name that was public a moment ago and is private now (DNS rebinding): the name is looked up once for each
    request, and the connection goes to that address.
    """
    names = Names(hook_test=[["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"]])
    url = receiver.url("hook.test")
    assert (await post(url, ONE, names)).succeeded
    assert names.asked == ["hook.test"]
    attempt = await post(url, ONE, names)
    assert attempt.error == "the host name does not lead to a public address"
    assert receiver.connections == 1


async def test_of_several_addresses_only_public_ones_are_tried(receiver: Receiver) -> None:
    """A private one beside it is left out, and a second public one is tried if the first refuses."""
    async with Receiver().listening() as other:
        names = Names(hook_test=[["127.0.0.2", "127.0.0.1"]])
        assert (await post(receiver.url("hook.test"), ONE, names)).succeeded
        assert (await post(other.url("hook.test"), LOOPBACK, Names(hook_test=[["127.0.0.9", "127.0.0.1"]]))).succeeded


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "127.0.0.1"])
async def test_no_spelling_of_loopback_gets_a_connection(receiver: Receiver, host: str) -> None:
    """The system's resolver understands more spellings of an address than the URL's grammar."""
    attempt = await post(receiver.url(host), ReachableAddresses())
    assert attempt.error == "the host name does not lead to a public address"
    assert receiver.connections == 0


async def test_an_unknown_name_is_an_error() -> None:
    """The text is that of a private address: it does not tell which names there are inside."""
    attempt = await post("http://hook.test/", names=Names())
    assert attempt.error == "the host name does not lead to a public address"
    with pytest.raises(UnreachableHost):
        await Resolver(LOOPBACK, Names(a=[[]])).resolve("a", ADA)


async def test_a_name_server_that_does_not_answer_holds_up_no_other_names() -> None:
    """However many deliveries go to its host: they share one look-up, also after they have given up."""
    answered, asked = threading.Event(), []

    def lookup(host: str) -> list[str]:
        asked.append(host)
        if host == "dead.test":
            answered.wait()
            raise OSError("no answer")
        return ["127.0.0.1"]

    resolver = Resolver(LOOPBACK, lookup)
    waiting = [asyncio.create_task(resolver.resolve("dead.test", ADA)) for _ in range(THREADS_MAX + 1)]
    try:
        await asyncio.sleep(0)
        waiting[0].cancel()
        assert await resolver.resolve("hook.test", ADA) == [ipaddress.ip_address("127.0.0.1")]
    finally:
        answered.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, *[UnreachableHost] * THREADS_MAX]
    assert sorted(asked) == ["dead.test", "hook.test"]
    with pytest.raises(UnreachableHost):
        await resolver.resolve("dead.test", ADA)
    assert len(asked) == 3, "another look-up"


async def test_users_with_many_dead_hosts_hold_up_nobody_else() -> None:
    """Seven users with ten endpoints each would otherwise occupy all threads. A user's own look-ups go on once one of
    them has ended.
    """
    answered = threading.Event()

    def lookup(host: str) -> list[str]:
        if host.startswith("dead"):
            answered.wait()
        return ["127.0.0.1"]

    resolver = Resolver(LOOPBACK, lookup)
    users = [f"users/{number}" for number in range(7)]
    waiting = [
        asyncio.create_task(resolver.resolve(f"dead{number}.{user}.test", user))
        for user in users
        for number in range(10)
    ]
    try:
        await asyncio.sleep(0)
        assert await resolver.resolve("hook.test", ADA) == [ipaddress.ip_address("127.0.0.1")]
        with pytest.raises(UnreachableHost, match="too many other host names"):
            await resolver.resolve("hook.test", users[0])
    finally:
        answered.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert sum(isinstance(result, list) for result in results) == len(users) * LOOKUPS_PER_OWNER_MAX
    assert await resolver.resolve("hook.test", users[0]) == [ipaddress.ip_address("127.0.0.1")]


async def test_names_are_looked_up_as_absolute_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search domains of a pod would let a customer reach names of the cluster. Addresses are not looked up."""
    asked: list[str] = []
    system = socket.getaddrinfo

    def getaddrinfo(host: str, port: None, **options: Any) -> list[Any]:
        if options["flags"] & socket.AI_NUMERICHOST:
            return system(host, port, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = Resolver(LOOPBACK)
    for host in ("hook.test", "hook.test.", "payments", "localhost", "127.0.0.1", "127.1"):
        assert await resolver.resolve(host, ADA) == [ipaddress.ip_address("127.0.0.1")]
    assert asked == ["hook.test.", "hook.test.", "payments.", "localhost"]


async def test_a_silent_receiver_is_given_up(receiver: Receiver) -> None:
    """One that accepts the request and never answers."""
    receiver.open.clear()
    attempt = await post(receiver.url(), timeout_s=0.2)
    assert (attempt.status, attempt.error) == (None, "no response within 0 s")


async def test_a_receiver_that_trickles_is_given_up(receiver: Receiver) -> None:
    """One that sends its head byte by byte keeps each read short, and the whole too long."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\n" + b"x" * 1000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server:
        attempt = await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", timeout_s=0.5)
    assert (attempt.status, attempt.succeeded) == (None, False)


async def test_a_large_response_is_not_read(receiver: Receiver) -> None:
    """The status counts, and the connection is closed after a bounded part of the body."""
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"x" * 4096)
                await writer.drain()
                sent += 4096
        writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        attempt = await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert attempt.succeeded
    assert RESPONSE_BYTES_MAX <= sent < 100_000_000, "what fits into the buffers of both sockets"


async def test_a_body_that_does_not_end_is_not_awaited(receiver: Receiver) -> None:
    """The status counts, also if the body would take longer than the whole attempt may."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)
        writer.close()

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server:
        attempt = await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert (attempt.status, attempt.error) == (200, "")


@pytest.mark.parametrize("answer", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 1_000_000])
async def test_a_response_that_is_not_http_is_an_error(receiver: Receiver, answer: bytes) -> None:
    """Or ends too early, or has a head without an end; nothing of it is quoted."""
    receiver.answer = answer
    attempt = await post(receiver.url())
    assert (attempt.status, attempt.error) == (None, "the response is not valid HTTP")


async def test_a_closed_port_is_an_error(receiver: Receiver) -> None:
    """The text names no address."""
    async with Receiver().listening() as closed:
        url = closed.url("hook.test")
    attempt = await post(url, names=Names(hook_test=[["127.0.0.1"]]))
    assert attempt.error == "the connection was refused or failed"


async def test_retry_after_is_read(receiver: Receiver) -> None:
    """Seconds are; a date or nonsense is ignored."""
    for value, seconds in [("120", 120.0), ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0), ("-1", 0.0), ("9" * 50, 0.0)]:
        receiver.answer = response(503, f"retry-after: {value}")
        assert (await post(receiver.url())).retry_after_s == seconds


async def test_the_certificate_is_that_of_the_name(certificate: ssl.SSLContext) -> None:
    """The request goes to the address, and TLS is for the name: a certificate of another name is not accepted."""
    async with Receiver().listening(certificate) as receiver:
        names = Names(server_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
        assert (await post(receiver.url("server.test", "https"), names=names)).succeeded
        attempt = await post(receiver.url("other.test", "https"), names=names)
        assert attempt.error.startswith("the certificate is not valid: Hostname mismatch")
        assert len(receiver.received) == 1


async def test_an_unknown_certificate_is_not_trusted(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A receiver whose certificate can't be verified gets no request."""
    monkeypatch.delenv("SSL_CERT_FILE")
    async with Receiver().listening(certificate) as receiver:
        attempt = await post(receiver.url(scheme="https"))
    assert attempt.error.startswith("the certificate is not valid")
    assert receiver.received == []


async def test_tls_that_fails_after_the_handshake_is_an_error(certificate: ssl.SSLContext) -> None:
    """As by an alert, or by bytes that are no TLS. The attempt is recorded like any other."""

    ended = threading.Event()

    def serve() -> None:
        connection, _ = listening.accept()
        with certificate.wrap_socket(connection, server_side=True) as encrypted:
            encrypted.recv(1)
            os.write(encrypted.fileno(), response(200))
            ended.wait()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        served = asyncio.create_task(asyncio.to_thread(serve))
        url = f"https://server.test:{listening.getsockname()[1]}/"
        try:
            attempt = await post(url, names=Names(server_test=[["127.0.0.1"]]))
        finally:
            ended.set()
            await served
    assert (attempt.status, attempt.error) == (None, "TLS failed")


async def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would look the name up again, at a place from which it may lead elsewhere."""
    async with Receiver().listening() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url(path=""))
        assert (await post(receiver.url())).succeeded
    assert (proxy.connections, receiver.connections) == (0, 1)
