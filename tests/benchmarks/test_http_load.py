"""The load of HTTP requests that benchmarks apply."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from benchmarks.http_load import Load, apply, apply_apart, moments, parse_head, request


class Server:
    """A server that answers each request with its own body, one at a time for each connection."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.answered_at: list[float] = []
        self.answer_after_s = 0.0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves a connection until the client closes it."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
                body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
                self.paths.append(head.split(b" ")[1].decode())
                await asyncio.sleep(self.answer_after_s)
                self.answered_at.append(time.time())
                writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        except asyncio.IncompleteReadError:
            writer.close()


@pytest.fixture
async def server() -> Server:
    """The behaviour of the server on `port`."""
    return Server()


@pytest.fixture
async def port(server: Server) -> AsyncIterator[int]:
    """The port on which the server listens."""
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1]


async def test_each_request_is_sent_once(server: Server, port: int) -> None:
    """Connections share the requests, and each answer belongs to its request."""
    requests = [request("POST", f"/{number}", {"a": "b"}, {"number": number}) for number in range(20)]
    answers = await apply(Load(port, requests, connections=3))
    assert sorted(server.paths) == sorted(f"/{number}" for number in range(20))
    assert sorted(json.loads(answer.body)["number"] for answer in answers) == list(range(20))
    assert {answer.status for answer in answers} == {201}


async def test_a_load_from_another_process(server: Server, port: int) -> None:
    """The answers come back as they are from this process, also many of them."""
    big = "x" * 2_000
    answers = await apply_apart(Load(port, [request("POST", "/", {}, big)] * 100, connections=2, rate=2_000))
    assert [answer.body for answer in answers] == [json.dumps(big)] * 100


async def test_bodies_may_be_left_out(server: Server, port: int) -> None:
    """The whole body is read all the same, so that the next answer on the connection is understood."""
    load = Load(port, [request("POST", "/", {}, "x" * 1_000_000)] * 2, connections=1, keep_bodies=False)
    assert [(answer.status, answer.body) for answer in await apply(load)] == [(201, "")] * 2


async def test_waiting_for_a_connection_counts_as_latency(server: Server, port: int) -> None:
    """With a rate, a request that has to wait until another one is answered has its latency from its own moment."""
    server.answer_after_s = 0.2
    answers = await apply(Load(port, [request("GET", "/", {})] * 3, connections=1, rate=1_000))
    assert answers[2].due_at < server.answered_at[0]
    assert answers[2].due_at + answers[2].latency_s >= server.answered_at[2]


def test_moments_follow_the_rate() -> None:
    """They are evenly spaced; without a rate there are none."""
    due_at = moments(5, 10)
    assert due_at is not None
    gaps = [later - earlier for earlier, later in pairwise(due_at)]
    assert gaps == pytest.approx([0.1] * 4, abs=1e-4)
    assert moments(5, None) is None


def test_a_head_is_parsed() -> None:
    """Names of headers may have any case, and other headers do not matter."""
    assert parse_head(b"HTTP/1.1 404 Not Found\r\nX: 1:2\r\ncOntent-Length: 17\r\n\r\n") == (404, 17)
    with pytest.raises(ValueError, match="without a content-length"):
        parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
