"""The edge over real sockets, in front of a backend."""

import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx

from edge.app.edge_app import EdgeApp
from edge.app.http_server import serve
from edge.app.operations_pages import routes
from edge.app.routes import build_routes
from edge.call.upstreams import Upstreams
from edge.contract.contract import Contract
from edge.settings import EdgeSettings
from mesh.identity import Verifier
from mesh.listening import bind
from mesh.operations import Readiness

TRANSPORT: Final[Any] = os.environ.get("UPSTREAM_TRANSPORT", "http2")
"""The transport to the upstreams: all tests of the edge are to pass with each."""


class Client(httpx.AsyncClient):
    """An HTTP client of the edge that parses errors."""

    async def violations(self, method: str, url: str, **options: Any) -> dict[str, str]:
        """Returns the reasons of a rejected request by field. Fails unless the status is 400."""
        response = await self.request(method, url, **options)
        assert response.status_code == 400, response.text
        error = response.json()["error"]
        assert error["status"] == "INVALID_ARGUMENT"
        bad_request = [detail for detail in error["details"] if detail["@type"].endswith("google.rpc.BadRequest")]
        return {each["field"]: each.get("reason", "") for each in bad_request[0]["fieldViolations"]}


@contextlib.asynccontextmanager
async def edge_of(
    contract: Contract, port: int, *, verifier: Verifier | None = None, **settings: Any
) -> AsyncIterator[Client]:
    """Returns a client of an edge that serves this contract from the backend at this port."""
    common = {"contracts": "-", "upstreams": f"*=127.0.0.1:{port}", "port": 0, "upstream_transport": TRANSPORT}
    made = EdgeSettings.model_validate({**common, **settings})
    readiness = Readiness()
    readiness.serve()
    async with Upstreams(
        made.upstreams,
        bare_messages=made.bare_messages,
        in_mesh=made.service_mesh,
        transport=made.upstream_transport,
    ) as upstreams:
        readiness.add(upstreams)
        app = EdgeApp(contract, build_routes(contract, made, upstreams.__getitem__, verifier), made, routes(readiness))
        server = serve(app, made, bind("127.0.0.1", 0))
        async with server, Client(base_url=f"http://127.0.0.1:{server.port}") as client:
            yield client
