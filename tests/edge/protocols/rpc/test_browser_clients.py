"""The client libraries of browsers: connect-web for both protocols, and grpc-web."""

import asyncio
import json
import os
import sysconfig
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import grpc
from googleapis.google.rpc.error_details_pb import ErrorInfo
from googleapis.google.rpc.status_pb import Status
from protobuf.wkt import Any as Packed

from tests.edge.backend import Backend, Context, Received
from tests.edge.contracts import ROOT, compile_image
from tests.edge.protocols.rest.contract import FEEDS
from tests.edge.served import Client

HERE: Final = ROOT / "tests" / "edge" / "protocols" / "rpc" / "browser"
MODULES: Final = ROOT / ".tools" / "browser-clients" / "node_modules"
SEEN: Final = {"texts": ["a", "b"], "lead": "1", "trail": "2"}
FAILED: Final = {"code": "NotFound", "message": "gone", "details": ["google.rpc.ErrorInfo"]}


async def run(port: int, image: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Returns the results of each client's calls."""
    environment = {**os.environ, "NODE_PATH": str(MODULES)}
    command = (Path(sysconfig.get_path("scripts"), "node"), HERE / "clients.cjs", str(port), image)
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(60):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    results = [json.loads(line) for line in output.splitlines()]
    return {(each.pop("client"), each.pop("call")): each for each in results}


async def test_the_clients_of_browsers(caller: Client, source: Backend, tmp_path: Path) -> None:
    """Unary calls, streams, metadata and errors with details work with each library and format."""

    async def answer(received: Received, context: Context) -> bytes:
        if b"fail" in received.request:
            status = Status(code=5, message="gone", details=[Packed.pack(ErrorInfo(reason="R"))]).to_binary()
            await context.abort(grpc.StatusCode.NOT_FOUND, "gone", (("grpc-status-details-bin", status),))
        return received.request

    async def stream(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await context.send_initial_metadata((("x-lead", "1"),))
        context.set_trailing_metadata((("x-trail", "2"),))
        async for _ in requests:
            yield b"\x0a\x01a"
            yield b"\x0a\x01b"

    source.answer, source.stream = answer, stream
    image = tmp_path / "image.binpb"
    image.write_bytes(compile_image(FEEDS, tmp_path).SerializeToString())
    assert caller.base_url.port is not None
    results = await run(caller.base_url.port, image)
    for client in ("connect json", "connect binary", "grpc-web json", "grpc-web binary"):
        assert results.pop((client, "once")) == {"texts": ["a"]}
        assert results.pop((client, "watch")) == SEEN
        assert results.pop((client, "fail")) == FAILED
    for client in ("google text", "google binary"):
        assert results.pop((client, "once")) == {"texts": ["a"]}
        assert results.pop((client, "watch")) == SEEN
        assert results.pop((client, "nope")) == {"code": 12, "message": "There is nothing at this URL."}
    assert results == {}
