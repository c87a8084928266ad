"""A small HTTP server that answers JSON, for tests of those who fetch it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mesh.http_server import HttpServer
from mesh.listening import bind


class Endpoint:
    """An HTTP endpoint that counts its calls and returns `answer` while it is `open`."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.status = 200
        self.open = asyncio.Event()
        self.open.set()
        self.requests: list[tuple[str, str]] = []

    async def answer(self, request: Request) -> Response:
        """Handles one call."""
        self.requests.append((request.headers.get("authorization", ""), (await request.body()).decode()))
        await self.open.wait()
        return JSONResponse(self.body, status_code=self.status)

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Its URL, while it is up."""
        app = Starlette(routes=[Route("/", self.answer, methods=["GET", "POST"])])
        async with HttpServer(app, bind("127.0.0.1", 0)) as server:
            yield f"http://127.0.0.1:{server.port}/"
