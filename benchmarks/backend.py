"""A gRPC backend that returns a constant order for GetOrder: `python benchmarks/backend.py`. It prints its port."""

import asyncio
from typing import Any

import grpc
import grpc.aio

from benchmarks.messages import order


async def main() -> None:
    """Serves until it is killed."""
    answer = order().to_binary()

    async def get_order(_request: bytes, _context: Any) -> bytes:
        return answer

    server = grpc.aio.server()
    method: Any = grpc.unary_unary_rpc_method_handler(get_order)
    handlers = grpc.method_handlers_generic_handler("meshwright.orders.v1.OrdersService", {"GetOrder": method})
    server.add_generic_rpc_handlers((handlers,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
