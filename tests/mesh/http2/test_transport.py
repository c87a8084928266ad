"""Calls over several connections: calls that are made again, room, addresses, TLS."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local.ports import free_port
from mesh.client import Credentials, Http2Transport
from mesh.errors import Code, Unavailable
from mesh.http2 import frames
from mesh.http2.client.endpoint import PAUSE_S_MIN, Endpoint
from mesh.http2.faults import ErrorCode
from mesh.rpc.call_error import CallError
from tests.edge.call.test_upstream_tls import Authority
from tests.mesh.http2.scripted import (
    PATH,
    Peer,
    call,
    data,
    head,
    prefixed,
    scripted,
    serve_well,
    trailers,
    transport_to,
)


def goaway(last_stream: int, code: int = 0) -> bytes:
    """Returns GOAWAY."""
    return frames.frame(frames.GOAWAY, 0, 0, last_stream.to_bytes(4, "big") + code.to_bytes(4, "big"))


async def collect(transport: Http2Transport, *messages: bytes) -> list[bytes]:
    """Makes a call of any kind. Returns the responses."""
    async with transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream:
        for message in messages:
            await stream.send(message)
        await stream.finish_sending()
        found = []
        while (response := await stream.receive()) is not None:
            found.append(response)
        return found


async def leaves(peer: Peer) -> None:
    """Announces that the next call will not be served, as a server that stops."""
    await peer.start()
    await peer.request()
    peer.send(goaway(0))
    await peer.wait_closed()


async def refuses(peer: Peer) -> None:
    """Refuses the first call."""
    await peer.start()
    peer.send(frames.rst_stream(await peer.request(), ErrorCode.REFUSED_STREAM))
    while True:
        peer.answer(await peer.request())


@pytest.mark.parametrize("script", [leaves, refuses])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_call_that_was_not_begun_is_made_again(script: Any, streams: bool) -> None:
    """A call beyond the last stream of GOAWAY, or with REFUSED_STREAM, was not processed: 6.8, 8.7. It is made again
    with all its requests.
    """
    async with scripted(script, serve_well) as address, transport_to(address) as transport:
        if streams:
            assert await collect(transport, b"a", b"b") == [b"answer"]
        else:
            assert (await call(transport)).message == b"answer"


async def test_no_request_is_lost_while_a_call_is_made_again() -> None:
    """A request waits for the new call: it may be the one with which the requests are too many to be kept."""
    connected, go = asyncio.Event(), asyncio.Event()
    received = bytearray()

    async def refuse(peer: Peer) -> None:
        await peer.start()
        await peer.next(frames.DATA)
        peer.send(goaway(0))
        await peer.wait_closed()

    async def serve(peer: Peer) -> None:
        await peer.read_preface()
        connected.set()
        await go.wait()
        peer.send(frames.settings({}))
        flags = 0
        while not flags & frames.END_STREAM:
            _, flags, stream, payload = await peer.next(frames.DATA)
            received.extend(payload)
            if payload:
                peer.send(*(frames.window_update(each, len(payload)) for each in (0, stream)))
        peer.answer(stream)
        await peer.wait_closed()

    requests = [letter * 40_000 for letter in (b"a", b"b", b"c")]
    async with (
        scripted(refuse, serve) as address,
        transport_to(address) as transport,
        transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream,
    ):
        await stream.send(requests[0])
        reading = asyncio.create_task(stream.receive())
        await connected.wait()
        sending = asyncio.create_task(stream.send(requests[1]))
        await asyncio.sleep(0)
        go.set()
        assert await sending
        assert await stream.send(requests[2])
        await stream.finish_sending()
        assert await reading == b"answer"
    assert received == b"".join(prefixed(request) for request in requests)


@pytest.mark.parametrize("is_noticed", [False, True])
async def test_a_call_that_is_made_again_can_be_cancelled(is_noticed: bool) -> None:
    """It ends as cancelled, and no server gets it, whether its reader waits for the new connection or not yet."""
    connected, ended = asyncio.Event(), asyncio.Event()
    seen: list[int] = []

    async def serve(peer: Peer) -> None:
        await peer.read_preface()
        connected.set()
        await ended.wait()
        peer.send(frames.settings({}))
        while True:
            seen.append((await peer.frame())[0])

    async with scripted(leaves, serve) as address, transport_to(address) as transport:
        async with transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream:
            await stream.finish_sending()
            await connected.wait()  # the first connection is lost
            reading = asyncio.create_task(stream.receive())
            if is_noticed:
                await asyncio.sleep(0.05)
            assert not stream.is_done()
            stream.cancel()
            stream.cancel()
            with pytest.raises(CallError) as caught:
                await reading
            assert (caught.value.code, await stream.code(), stream.is_done()) == (Code.CANCELLED, Code.CANCELLED, True)
        ended.set()
        await transport.check()
    assert frames.HEADERS not in seen


async def test_a_host_that_cannot_be_reached_is_named() -> None:
    """The error has the host and the port, which the log shows to whoever configured them."""
    port = free_port()
    async with transport_to(f"localhost:{port}") as transport:
        with pytest.raises(CallError, match=rf"to all addresses of localhost, port {port}: ") as caught:
            await call(transport, connect_s=1)
    assert caught.value.code == Code.UNAVAILABLE


@pytest.mark.parametrize("streams", [False, True])
async def test_a_call_is_not_made_again_for_ever(streams: bool) -> None:
    """A server that refuses every call is unavailable."""
    refused = 0

    async def serve(peer: Peer) -> None:
        nonlocal refused
        await peer.start()
        while True:
            peer.send(frames.rst_stream(await peer.request(), ErrorCode.REFUSED_STREAM))
            refused += 1

    async with scripted(serve) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await (collect(transport, b"a") if streams else call(transport))
    assert (caught.value.code, refused) == (Code.UNAVAILABLE, 3)


async def test_attempts_count_that_were_made_before_the_connection_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that waits for another connection in vain reports them, so that the channel makes only those left."""
    monkeypatch.setattr("mesh.client.http2_transport.CONNECT_S", 0.1)

    async def refuse_two(peer: Peer) -> None:
        await peer.start()
        peer.send(frames.rst_stream(await peer.request(), ErrorCode.REFUSED_STREAM))
        stream = await peer.request()
        peer.send(goaway(stream), frames.rst_stream(stream, ErrorCode.REFUSED_STREAM))
        await peer.wait_closed()

    async with scripted(refuse_two, Peer.wait_closed) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
    assert (caught.value.code, caught.value.attempts) == (Code.UNAVAILABLE, 2)


async def test_a_call_that_may_have_been_begun_is_not_made_again() -> None:
    """A lost connection does not show whether its calls were begun: each fails, and none is repeated."""
    requests = 0

    async def serve(peer: Peer) -> None:
        nonlocal requests
        await peer.start()
        await peer.request()
        requests += 1

    async with scripted(serve) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await call(transport)
    assert (caught.value.code, requests) == (Code.UNAVAILABLE, 1)


@pytest.mark.parametrize("refusal", [frames.rst_stream(1, ErrorCode.REFUSED_STREAM), goaway(0)])
@pytest.mark.parametrize("streams", [False, True])
async def test_a_call_whose_response_has_begun_is_not_made_again(refusal: bytes, streams: bool) -> None:
    """The headers of the response commit a call, whatever the server says about it later (gRFC A6)."""
    requests = 0

    async def serve(peer: Peer) -> None:
        nonlocal requests
        await peer.start()
        stream = await peer.request()
        requests += 1
        peer.send(head(stream), refusal)
        await peer.wait_closed()

    async with scripted(serve, serve_well) as address, transport_to(address) as transport:
        with pytest.raises(CallError) as caught:
            await (collect(transport, b"a") if streams else call(transport))
    assert (caught.value.code, requests) == (Code.UNAVAILABLE, 1)


async def test_goaway_lets_older_calls_end() -> None:
    """Calls up to the last stream are answered on the old connection, new ones go to a new one (6.8)."""
    begun, asked = asyncio.Event(), asyncio.Event()

    async def leave(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        peer.send(goaway(2**31 - 1), goaway(stream))
        begun.set()
        await asked.wait()
        peer.answer(stream, b"old")
        await peer.wait_closed()

    async def serve(peer: Peer) -> None:
        await peer.start()
        peer.answer(await peer.request(), b"new")
        asked.set()
        await peer.wait_closed()

    async with scripted(leave, serve) as address, transport_to(address) as transport:
        old = asyncio.create_task(call(transport))
        await begun.wait()
        assert [(await call(transport)).message, (await old).message] == [b"new", b"old"]


async def test_connections_that_drain_make_way_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may renew its connections while long streams go on. Beyond a limit the oldest connection is closed."""
    monkeypatch.setattr("mesh.http2.client.endpoint.CONNECTIONS_MAX", 2)
    monkeypatch.setattr("mesh.http2.client.endpoint.DRAINING_MAX", 3)

    async def renew(peer: Peer) -> None:
        await peer.start()
        _, _, stream, _ = await peer.next(frames.HEADERS)
        peer.send(goaway(stream), head(stream), data(stream, prefixed(b"event")))
        await peer.wait_closed()

    async with (
        scripted(renew) as address,
        transport_to(address) as transport,
        contextlib.AsyncExitStack() as stack,
    ):
        streams: list[Any] = []
        for _ in range(4):
            opening = transport.stream(PATH, connect_by=1e9, deadline=time.monotonic() + 20, metadata=())
            streams.append(await stack.enter_async_context(opening))
            assert await streams[-1].receive() == b"event"
        assert await streams[0].code() is Code.UNAVAILABLE
        assert not any(stream.is_done() for stream in streams[1:])


async def test_a_full_connection_is_not_alone() -> None:
    """Calls beyond MAX_CONCURRENT_STREAMS are made on more connections, and never exceed it (5.1.2)."""
    connections = 0
    all_open = asyncio.Event()

    async def serve(peer: Peer) -> None:
        nonlocal connections
        await peer.start({3: 2})
        connections += 1
        streams = [await peer.request(), await peer.request()]
        if connections == 3:
            all_open.set()
        await all_open.wait()
        for stream in streams:
            peer.answer(stream)
        await peer.wait_closed()

    async with scripted(serve) as address, transport_to(address) as transport:
        await asyncio.gather(*(call(transport) for _ in range(6)))
    assert connections == 3


async def test_a_server_without_streams_keeps_calls_waiting() -> None:
    """A server may allow no streams for a while."""

    async def serve(peer: Peer) -> None:
        await peer.start({3: 0})
        peer.send(frames.frame(frames.PING, 0, 0, bytes(8)))
        assert (await peer.next(frames.PING, frames.HEADERS))[0] == frames.PING
        peer.send(frames.settings({3: 1}))
        while True:
            peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        await call(transport)


async def test_a_server_without_streams_gets_one_connection() -> None:
    """More connections to a server that allows no streams would not help."""
    connections, connected, settled = 0, asyncio.Event(), asyncio.Event()

    async def serve(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.start({3: 0})
        connected.set()
        await settled.wait()
        peer.send(frames.settings({3: 1}))
        while True:
            peer.answer(await peer.request())

    async with scripted(serve) as address, transport_to(address) as transport:
        waiting = [asyncio.create_task(call(transport)) for _ in range(3)]
        await connected.wait()
        await asyncio.sleep(0.5)
        assert connections == 1
        settled.set()
        await asyncio.gather(*waiting)


async def test_a_full_server_is_waited_for_until_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of connections, calls wait in turn for a free stream and fail at their deadline."""
    monkeypatch.setattr("mesh.http2.client.endpoint.CONNECTIONS_MAX", 1)
    go = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.start({3: 1})
        stream = await peer.request()
        await go.wait()
        peer.answer(stream, b"0")
        for number in range(1, 4):
            peer.answer(await peer.request(), b"%d" % number)
        await peer.wait_closed()

    async with scripted(serve) as address, transport_to(address) as transport:
        waiting = [asyncio.create_task(call(transport)) for _ in range(4)]
        await asyncio.sleep(0.05)
        with pytest.raises(CallError) as caught:
            await call(transport, timeout_s=0.05)
        assert caught.value.code is Code.DEADLINE_EXCEEDED
        go.set()
        assert [(await each).message for each in waiting] == [b"0", b"1", b"2", b"3"]


async def test_calls_that_wait_are_not_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit of connections, a caller that calls again and again takes turns with those that wait."""
    monkeypatch.setattr("mesh.http2.client.endpoint.CONNECTIONS_MAX", 1)
    served: list[bytes] = []
    begun, done = asyncio.Event(), asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.start({3: 1})
        while True:
            _, _, stream, payload = await peer.next(frames.DATA)
            served.append(payload[5:])
            begun.set()
            await asyncio.sleep(0.001)
            peer.answer(stream)

    async def call_again(transport: Http2Transport) -> None:
        while not done.is_set():
            await call(transport, b"again")

    async with scripted(serve) as address, transport_to(address) as transport:
        again = asyncio.create_task(call_again(transport))
        await begun.wait()
        await asyncio.gather(*(call(transport, b"%d" % number, timeout_s=5) for number in range(3)))
        done.set()
        await again
    assert [each for each in served if each != b"again"] == [b"0", b"1", b"2"]


async def test_a_call_that_gives_up_lets_the_next_one_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a stream becomes free for a call that is cancelled at that moment, the next one in turn gets it."""
    monkeypatch.setattr("mesh.http2.client.endpoint.CONNECTIONS_MAX", 1)
    monkeypatch.setattr("mesh.http2.client.balancer.RESOLVE_PAUSE_S", 60.0)  # a lookup continues those that wait too
    go = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.start({3: 1})
        stream = await peer.request()
        await go.wait()
        peer.answer(stream)
        peer.answer(await peer.request(), b"next")
        await peer.wait_closed()

    async with scripted(serve) as address, transport_to(address) as transport:

        async def call_first() -> None:
            await call(transport)
            waiting[0].cancel()

        first = asyncio.create_task(call_first())
        await asyncio.sleep(0.05)
        waiting = [asyncio.create_task(call(transport, timeout_s=5)) for _ in range(2)]
        await asyncio.sleep(0.05)
        go.set()
        await first
        assert (await waiting[1]).message == b"next"
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]


async def test_a_call_waits_for_a_server_that_starts() -> None:
    """A connection is tried again and again while a call waits for it."""
    port = free_port()
    async with transport_to(f"127.0.0.1:{port}") as transport:
        with pytest.raises(Unavailable):
            await transport.check()
        calling = asyncio.create_task(call(transport))
        await asyncio.sleep(0.05)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                await serve_well(Peer(reader, writer))
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", port):
            assert (await calling).message == b"answer"
            await transport.check()
            await transport.close()


async def test_failed_attempts_are_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause after a failed attempt grows to its limit."""
    pauses: list[float] = []
    enough = asyncio.Event()
    sleep, others = asyncio.sleep, asyncio.all_tasks()

    async def recorded(delay_s: float) -> None:
        if asyncio.current_task() in others:  # it calls the same function
            await sleep(delay_s)
            return
        if delay_s > 0:
            pauses.append(delay_s)
        if len(pauses) == 8:
            enough.set()
        await sleep(0)

    async def refuse(_: Any) -> Any:
        raise ConnectionRefusedError

    monkeypatch.setattr("mesh.http2.client.endpoint.asyncio.sleep", recorded)
    monkeypatch.setattr("mesh.http2.client.endpoint.JITTER", 0)
    endpoint = Endpoint(refuse, lambda: None)
    endpoint.want()
    await enough.wait()
    endpoint.close()
    assert pauses[:3] == [0.1, pytest.approx(0.16), pytest.approx(0.256)]
    assert pauses[7] == 1.0


async def test_connections_are_added_soon_after_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause has grown while the server was away. It does not delay connections beside the first new one."""
    port, connections = free_port(), 0
    pauses: list[float] = []
    grown, full, sleep = asyncio.Event(), asyncio.Barrier(3), asyncio.sleep

    async def recorded(delay_s: float) -> None:
        if (task := asyncio.current_task()) is None or task.get_name() != "connect":
            await sleep(delay_s)
            return
        pauses.append(delay_s)
        if delay_s > 6 * PAUSE_S_MIN:
            grown.set()
        await sleep(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        if connections == 1:
            pauses.clear()
        peer = Peer(reader, writer)
        await peer.start({3: 1})
        stream = await peer.request()
        await full.wait()
        peer.answer(stream)
        await peer.wait_closed()
        writer.close()

    monkeypatch.setattr("mesh.http2.client.endpoint.asyncio.sleep", recorded)
    async with transport_to(f"127.0.0.1:{port}") as transport:
        calling = [asyncio.create_task(call(transport)) for _ in range(3)]
        await grown.wait()
        async with await asyncio.start_server(serve, "127.0.0.1", port):
            await asyncio.gather(*calling)
            await transport.close()
    assert connections == 3
    assert max(pauses) <= PAUSE_S_MIN


async def serve_once(peer: Peer) -> None:
    """Answers one call, and leaves."""
    await peer.start()
    stream = await peer.request()
    peer.answer(stream)
    peer.send(goaway(stream))
    await peer.wait_closed()


@pytest.mark.parametrize("last_stream", [None, 0])
async def test_connections_that_are_of_no_use_are_spaced(
    monkeypatch: pytest.MonkeyPatch, last_stream: int | None
) -> None:
    """The pause grows while the server leaves each new connection, at once or at the first call, and is short again
    after an answer.
    """
    pauses: list[float] = []
    grown, sleep = asyncio.Event(), asyncio.sleep

    async def recorded(delay_s: float) -> None:
        if (task := asyncio.current_task()) is None or task.get_name() != "connect":
            await sleep(delay_s)
            return
        pauses.append(delay_s)
        if delay_s > 3 * PAUSE_S_MIN:
            grown.set()
        await sleep(0)

    async def leave(peer: Peer) -> None:
        if grown.is_set():
            await serve_once(peer)
            return
        await peer.start()
        if last_stream is not None:
            await peer.request()
        peer.send(goaway(0))
        await peer.wait_closed()

    monkeypatch.setattr("mesh.http2.client.endpoint.asyncio.sleep", recorded)
    async with scripted(leave) as address, transport_to(address) as transport:
        while not grown.is_set() and len(pauses) < 30:
            with contextlib.suppress(CallError):
                await call(transport, timeout_s=1)
        assert grown.is_set()
        for _ in range(4):
            with contextlib.suppress(CallError):
                await call(transport, timeout_s=1)
        pauses.clear()
        await call(transport)
        await call(transport)
    assert pauses
    assert max(pauses) < 2 * PAUSE_S_MIN


@contextlib.asynccontextmanager
async def replicas(monkeypatch: pytest.MonkeyPatch, count: int) -> AsyncIterator[tuple[str, list[str], list[Any]]]:
    """Serves a name with several addresses on one port; each answers with its own. Returns the name and port, the
    addresses that the name has, which may be changed, and the servers.
    """
    port = free_port()
    hosts = [f"127.0.0.{number}" for number in range(1, count + 1)]

    async def getaddrinfo(_self: Any, host: str, at: int, **_: Any) -> list[Any]:
        found = hosts if host == "service" else [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, at)) for each in found]

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    peers: list[asyncio.StreamWriter] = []

    def at(host: str) -> Any:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peers.append(writer)
            peer = Peer(reader, writer)
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await peer.start()
                while True:
                    peer.answer(await peer.request(), host.encode())
            writer.close()

        return serve

    servers = [await asyncio.start_server(at(host), host, port) for host in hosts]
    try:
        yield f"service:{port}", hosts, [(server, peers) for server in servers]
    finally:
        for server in servers:
            server.close()


async def test_addresses_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls to a name with several addresses go to each in turn."""
    async with replicas(monkeypatch, 3) as (address, hosts, _), transport_to(address) as transport:
        seen: set[bytes] = set()
        while len(seen) < 3:
            seen.add((await call(transport)).message)
        turns = [(await call(transport)).message.decode() for _ in range(6)]
    assert turns[:3] == turns[3:]
    assert sorted(turns[:3]) == hosts


async def test_an_address_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls go to the addresses that can be reached, and to one that the name gets later."""
    async with replicas(monkeypatch, 3) as (address, hosts, servers):
        gone = hosts.pop()
        hosts.append("127.0.0.9")  # nobody listens there
        async with transport_to(address) as transport:
            for _ in range(20):
                assert (await call(transport)).message.decode() in hosts[:2]
            hosts.append(gone)
            servers[0][1][0].close()  # a lost connection makes it look the name up again
            while True:
                with contextlib.suppress(CallError):
                    if (await call(transport)).message.decode() == gone:
                        break
                await asyncio.sleep(0.02)


async def test_close_ends_the_streams_to_an_address_that_the_name_has_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then they go on, as when a replica stops."""
    monkeypatch.setattr("mesh.http2.client.balancer.RESOLVE_PAUSE_S", 0.01)
    async with replicas(monkeypatch, 2) as (address, hosts, _), transport_to(address) as transport:
        while len({(await call(transport)).message for _ in range(2)}) < 2:
            pass
        async with contextlib.AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()))
                for _ in range(2)
            ]
            hosts.pop()
            transport._balancer._resolve()
            while transport._balancer._resolving is not None:
                await asyncio.sleep(0.01)
            assert not any(stream.is_done() for stream in streams)
            await transport.close()
            for stream in streams:
                async with asyncio.timeout(30):
                    with pytest.raises(CallError):
                        await stream.receive()


async def test_a_name_that_cannot_be_encoded_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookup that raises UnicodeError has failed, as one of an unknown name has."""
    monkeypatch.setattr("mesh.http2.client.balancer.RESOLVE_PAUSE_S", 0.01)
    async with transport_to("foo..bar:80") as transport:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await transport.check()
            transport._balancer._error = None  # so that check() waits for another lookup


@pytest.mark.parametrize("step", ["getaddrinfo", "create_connection"])
async def test_whatever_a_lookup_or_an_attempt_raises_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The next one may succeed: a thread for a lookup, for example, can't be started for a while."""
    monkeypatch.setattr("mesh.http2.client.balancer.RESOLVE_PAUSE_S", 0.01)
    done = getattr(asyncio.base_events.BaseEventLoop, step)
    failures = 0

    async def fail_first(*arguments: Any, **options: Any) -> Any:
        nonlocal failures
        if not failures:
            failures += 1
            raise RuntimeError("can't start new thread")
        return await done(*arguments, **options)

    async with scripted(serve_well) as address, transport_to(address) as transport:
        with monkeypatch.context() as patched:
            patched.setattr(asyncio.base_events.BaseEventLoop, step, fail_first)
            assert (await call(transport, timeout_s=5)).message == b"answer"
    assert failures == 1


def contexts(folder: Path, *, alpn: list[str]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Returns the contexts of a server and of a client that trusts it."""
    authority = Authority(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(*authority.issue("server"))
    if alpn:
        server.set_alpn_protocols(alpn)
    client = ssl.create_default_context(cafile=authority.file)
    client.set_alpn_protocols(["h2"])
    return server, client


@pytest.mark.parametrize(("alpn", "works"), [(["h2"], True), (["http/1.1"], False), ([], False)])
async def test_tls_needs_alpn(tmp_path: Path, alpn: list[str], works: bool, caplog: pytest.LogCaptureFixture) -> None:
    """A server must choose HTTP/2 (3.3); one that does not is unavailable, which is not logged as a mistake of ours."""
    server_context, client_context = contexts(tmp_path, alpn=alpn)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            await serve_well(Peer(reader, writer))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context) as server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        transport = Http2Transport(address, Credentials(client_context), 30.0)
        if works:
            assert (await call(transport)).message == b"answer"
        else:
            with pytest.raises(Unavailable):
                await transport.check()
        await transport.close()
    assert not caplog.records


async def test_responses_before_the_end_of_the_requests() -> None:
    """Both directions of a stream are independent, and metadata are there before the first message."""

    async def serve(peer: Peer) -> None:
        await peer.start()
        _, _, stream, _ = await peer.next(frames.HEADERS)
        peer.send(head(stream, [(":status", "200"), ("x-a", "b")]))
        while True:
            _, flags, _, payload = await peer.next(frames.DATA)
            if flags & frames.END_STREAM:
                break
            peer.send(data(stream, payload))
        peer.send(trailers(stream, [("grpc-status", "0"), ("x-c", "d")]))
        await peer.wait_closed()

    async with (
        scripted(serve) as address,
        transport_to(address) as transport,
        transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream,
    ):
        assert await stream.initial_metadata() == (("x-a", "b"),)
        for message in (b"one", b"", b"three"):
            assert await stream.send(message)
            assert await stream.receive() == message
        await stream.finish_sending()
        assert await stream.receive() is None
        assert (await stream.trailing_metadata(), await stream.code()) == ((("x-c", "d"),), Code.OK)


async def test_a_read_that_is_cancelled_loses_no_message() -> None:
    """A reader may stop to wait and read again later, without ending the call."""
    go = asyncio.Event()

    async def serve(peer: Peer) -> None:
        await peer.start()
        stream = await peer.request()
        await go.wait()
        peer.send(head(stream), data(stream, prefixed(b"x")), trailers(stream))
        await peer.wait_closed()

    async with (
        scripted(serve) as address,
        transport_to(address) as transport,
        transport.stream(PATH, connect_by=1e9, deadline=1e9, metadata=()) as stream,
    ):
        await stream.finish_sending()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await stream.receive()
        go.set()
        assert [await stream.receive(), await stream.receive()] == [b"x", None]
