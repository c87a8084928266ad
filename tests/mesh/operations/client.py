"""A client of an operations port."""

import httpx

from mesh.listening import bind
from mesh.operations import OpsServer, Readiness


async def get(readiness: Readiness, path: str) -> httpx.Response:
    """Sends one request to an operations port with this readiness."""
    async with (
        OpsServer(readiness, bind("127.0.0.1", 0)) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
    ):
        return await client.get(path)
