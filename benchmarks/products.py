"""A service that returns a constant product: `python -m benchmarks.products ours|bare`. It prints its port.

`ours` is served by the runtime of the mesh: deadline, token, policy, validation, errors, metrics, traces and log.
`bare` is grpc.aio with the same messages and nothing else.
"""

import asyncio
import sys
from typing import Any, Final

import grpc
import grpc.aio
import uvloop
from googleapis.google.type.money_pb import Money
from meshwright.catalog.v1.catalog_grpc import CatalogServiceBase
from meshwright.catalog.v1.catalog_pb import GetProductRequest, Product
from protobuf.wkt import Timestamp

from mesh.identity import RemoteKeySet, Verifier
from mesh.operations import Readiness
from mesh.rpc import Call, Handler, Method, Service
from mesh.server.server import Server
from mesh.settings import ProcessSettings
from mesh.telemetry import configure_logs

SERVICE: Final = "meshwright.catalog.v1.CatalogService"
PRODUCT: Final = Product(
    name="products/0d1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d",
    title="A cup",
    description="A cup of porcelain, which holds 250 ml.",
    price=Money(currency_code="EUR", units=12, nanos=500_000_000),
    create_time=Timestamp(seconds=1_790_000_000),
    update_time=Timestamp(seconds=1_790_000_000),
    etag="1",
)


class Products(Service):
    """The catalog service with one of its methods."""

    DESC = CatalogServiceBase.DESC

    async def get_product(self, _request: GetProductRequest, _call: Call) -> Product:
        """Returns the product."""
        return PRODUCT

    def handlers(self) -> tuple[Handler, ...]:
        """Returns the handler of the method."""
        (method,) = (each for each in self.DESC.methods if each.name == "GetProduct")
        return (Handler(Method.of(method, GetProductRequest, Product), self.get_product),)


async def ours() -> None:
    """Serves by the mesh's server until it is killed."""
    configure_logs("catalog", ProcessSettings())
    readiness = Readiness()
    readiness.serve()
    no_keys = RemoteKeySet("http://127.0.0.1:9/keys")  # the method is public, and its caller sends no token
    verifier = Verifier(no_keys, "https://shop.example.com", "meshwright")
    async with Server("127.0.0.1:0", (Products(),), verifier, readiness, 1.0) as server:
        print(server.port, flush=True)
        await asyncio.Event().wait()


async def bare() -> None:
    """Serves by grpc.aio until it is killed."""

    async def get_product(request: bytes, _context: Any) -> bytes:
        GetProductRequest.from_binary(request)
        return PRODUCT.to_binary()

    server = grpc.aio.server()
    method: Any = grpc.unary_unary_rpc_method_handler(get_product)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"GetProduct": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run({"ours": ours, "bare": bare}[sys.argv[1]]())
