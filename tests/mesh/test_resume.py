"""Resumable streams."""

import contextlib
from types import SimpleNamespace

import pytest

from mesh.client import Channel
from mesh.errors import InvalidArgument, Unavailable
from mesh.resume import resuming
from tests.issuer import Issuer
from tests.mesh.stream_service import Streams, serving


async def test_a_stream_resumes_where_it_was_lost(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """Through restarts of the server a client gets every response once, in order."""
    streams, port, numbers = Streams(greeter), 0, []
    async with serving(greeter, issuer, streams) as (server, _):
        port = server.port
    async with Channel("streams", f"127.0.0.1:{port}") as channel:
        client = greeter.grpc.StreamServiceClient(channel)
        async with contextlib.aclosing(resuming(client.follow, greeter.pb.FollowRequest())) as responses:
            for _ in range(3):
                async with serving(greeter, issuer, streams, port):
                    numbers += [(await anext(responses)).number for _ in range(5)]
    assert numbers == list(range(1, 16))


async def test_a_stream_that_stays_away_is_given_up(greeter: SimpleNamespace) -> None:
    """After the patience has run out, the error of the last attempt is raised."""
    async with Channel("streams", "127.0.0.1:1") as channel:
        client = greeter.grpc.StreamServiceClient(channel)
        with pytest.raises(Unavailable):
            await anext(resuming(client.follow, greeter.pb.FollowRequest(), patience_s=0.1))


@pytest.mark.parametrize("token", ["?", "e30", "WzFd"])
async def test_a_foreign_resume_token_is_refused(greeter: SimpleNamespace, issuer: Issuer, token: str) -> None:
    """The error names the field, and resuming() raises it."""
    async with serving(greeter, issuer, Streams(greeter)) as (_, client):
        with pytest.raises(InvalidArgument) as caught:
            await anext(resuming(client.follow, greeter.pb.FollowRequest(resume_token=token)))
    assert [violation.field for violation in caught.value.violations] == ["resume_token"]
