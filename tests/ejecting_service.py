"""A gRPC service behind a proxy that ejects it, in a process of its own.

A server of grpc.aio accepts one call at a time, each after a turn of its event loop and one of gRPC's thread, and hands
out calls that were cancelled long ago too. If it shared the loop with clients that make several calls in each turn, its
queue would grow without end on a busy machine.

`python -m tests.ejecting_service <seconds before an answer> <answer in hex>` prints its port, and its counts when
standard input ends.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from tests.mesh_proxy import GrpcProxy


@dataclass
class Counts:
    """The ejections and the kinds of statuses of the proxy, complete after the context of ejecting_service()."""

    port: int
    ejections: int = -1
    statuses: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def ejecting_service(pause_s: float, answer: bytes) -> AsyncIterator[Counts]:
    """Runs the service, which gives each call this answer after a pause."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, str(pause_s), answer.hex()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None, "it is a pipe"
    assert child.stdout is not None, "it is a pipe"
    try:
        counts = Counts(int(await child.stdout.readline()))
        yield counts
        child.stdin.write_eof()
        counts.ejections, counts.statuses = json.loads(await child.stdout.readline())
    finally:
        child.kill()
        await child.communicate()


class _Service(grpc.GenericRpcHandler):
    def __init__(self, pause_s: float, answer: bytes) -> None:
        async def serve(_request: bytes, _context: object) -> bytes:
            await asyncio.sleep(pause_s)
            return answer

        self._handler: Any = grpc.unary_unary_rpc_method_handler(serve)

    def service(self, _handler_call_details: grpc.HandlerCallDetails) -> Any:
        """Returns the handler of all methods."""
        return self._handler


async def _serve(pause_s: float, answer: bytes) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Service(pause_s, answer),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with GrpcProxy(port) as proxy:
        print(proxy.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)
        print(json.dumps([proxy.ejections, [status.name for status in proxy.statuses]]), flush=True)
        await server.stop(None)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), bytes.fromhex(sys.argv[2])))
