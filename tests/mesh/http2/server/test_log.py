"""The log of a server about calls that no handler sees, and about its connections."""

import asyncio

from structlog.testing import capture_logs

from mesh.http2 import frames
from mesh.http2.faults import ErrorCode
from tests.mesh.http2.scripted import PATH
from tests.mesh.http2.server.scripted import fields, head, request, serving


async def test_calls_that_are_refused() -> None:
    """A limit that is reached is a warning, for many calls at most one each ten seconds; others are for debugging."""
    with capture_logs() as logs:
        async with asyncio.timeout(30), serving(calls_max=1) as served, served.client() as client:
            client.send(head(1))
            for stream in range(3, 11, 2):
                client.send(request(stream))
                assert (await client.response(stream)).code == "8"  # RESOURCE_EXHAUSTED
            client.send(head(11, fields(grpc_timeout="soon")))
            assert (await client.response(11)).code == "13"  # INTERNAL
    assert [(log["log_level"], log["event"], log["method"], log["code"]) for log in logs] == [
        ("warning", "call refused", PATH, "RESOURCE_EXHAUSTED"),
        ("debug", "call refused", PATH, "INTERNAL"),
    ]


async def test_connections_that_fail() -> None:
    """The first is a warning with its client and cause. The others are counted, by the next warning that is due."""

    async def break_rules() -> None:
        async with served.client() as client:
            client.send(frames.frame(frames.PING, 0, 1, bytes(8)))
            assert await client.error_code() == ErrorCode.PROTOCOL_ERROR

    with capture_logs() as logs:
        async with asyncio.timeout(30), serving() as served:
            for _ in range(3):
                await break_rules()
            await served.check()
            assert len(logs) == 1
            served.server.faults._due.clear()
            await break_rules()
    assert [(log["log_level"], log["event"], log["error"], log["count"]) for log in logs] == [
        ("warning", "connection failed", "PING of a stream", 1),
        ("warning", "connection failed", "PING of a stream", 3),
    ]
    assert all("127.0.0.1" in log["client"] for log in logs)
