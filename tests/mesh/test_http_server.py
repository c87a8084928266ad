"""An HTTP server as a component of a process."""

import asyncio

import pytest
from starlette.applications import Starlette

from mesh.http_server import HttpServer
from mesh.listening import bind


async def test_an_http_server_whose_start_is_cancelled_ends() -> None:
    """No task is left running, and the port is free again."""
    before = asyncio.all_tasks()
    server = HttpServer(Starlette(), bind("127.0.0.1", 0))
    starting = asyncio.create_task(server.__aenter__())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert asyncio.all_tasks() <= before
    async with HttpServer(Starlette(), bind("127.0.0.1", server.port)):
        pass
