"""The log of a server about calls that no handler sees, and about its connections."""

import asyncio

import pytest
from structlog.testing import capture_logs

from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from mesh.http2.server.call import ServerCall
from tests.mesh.http2.scripted import PATH
from tests.mesh.http2.server.dialing import opening, request, serving, status


async def serve(call: ServerCall) -> None:
    """Answers."""
    call.finish(b"answer")


async def test_calls_that_are_refused() -> None:
    """A limit that is reached is a warning, for many calls at most one each ten seconds; others are for debugging."""
    with capture_logs() as logs:
        async with asyncio.timeout(30), serving(serve, calls_max=1) as served, served.dialed() as peer:
            peer.send(opening(1))
            for stream in range(3, 11, 2):
                peer.send(request(stream))
                assert await status(peer, stream) == "8"  # RESOURCE_EXHAUSTED
            peer.send(request(11, fields=[("grpc-timeout", "soon")]))
            assert await status(peer, 11) == "13"  # INTERNAL
    assert [(log["log_level"], log["event"], log["method"], log["code"]) for log in logs] == [
        ("warning", "call refused", PATH, "RESOURCE_EXHAUSTED"),
        ("debug", "call refused", PATH, "INTERNAL"),
    ]


async def test_connections_that_fail() -> None:
    """The first is a warning with its client and cause, the others are counted."""
    with capture_logs() as logs:
        async with asyncio.timeout(30), serving(serve) as served:
            for _ in range(3):
                async with served.dialed() as peer:
                    peer.send(frames.frame(frames.PING, 0, 1, bytes(8)))
                    assert await peer.error_code() == ErrorCode.PROTOCOL_ERROR
            async with served.dialed() as peer:
                peer.send(request(1))
                assert await status(peer, 1) == "0"
    [log] = logs
    assert (log["log_level"], log["event"], log["error"], log["count"]) == (
        *("warning", "connection failed"),
        *("PING of a stream", 1),
    )
    assert "127.0.0.1" in log["client"]


async def test_connections_that_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first beyond the limit is a warning too."""
    monkeypatch.setattr("mesh.http2.server.server.CONNECTIONS_MAX", 1)
    with capture_logs() as logs:
        async with asyncio.timeout(30), serving(serve) as served, served.dialed() as first, served.dialed() as second:
            assert await second.error_code() == ErrorCode.ENHANCE_YOUR_CALM
            first.send(request(1))
            assert await status(first, 1) == "0"
    assert [(log["log_level"], log["event"]) for log in logs] == [("warning", "connection failed")]
