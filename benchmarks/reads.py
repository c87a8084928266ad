"""The catalogue under the most expensive queries that clients can send: `python -m benchmarks.reads PRODUCTS`.

Thirty clients call the service directly, without the edge and its rate limits, while four visitors read single products
through the edge. For each kind of query it prints the number of successful reads of the visitors, their latency, the
CPU time of PostgreSQL, and the results of the expensive calls.
"""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeAlias

import asyncpg
import grpc.aio
import httpx
import psutil
from meshwright.catalog.v1.catalog_pb import ListProductsRequest, SearchProductsRequest

from benchmarks.program import ROOT, cpu_s, program
from local.ports import free_ports
from local.postgres import Postgres
from mesh.migrations import MESH_FOLDER, migrate

ATTACKERS: Final = 30
VISITORS: Final = 4
SECONDS: Final = 5.0

FILL: Final = """
INSERT INTO products (uid, title, description, category, currency, price_hundredths, create_time, update_time, version)
SELECT gen_random_uuid(), (ARRAY['Saw', 'Rake', 'Axe', 'Hoe', 'Cup'])[n % 5 + 1] || ' the great product ' || n,
    'A fine thing to have in the garden or at home, number ' || n || repeat(md5(n::text) || ' ', 6),
    (ARRAY['garden-tools', 'kitchen', 'office'])[n % 3 + 1], 'EUR', n * 7919::bigint % 100000,
    now() - n * interval '1 s', now(), 1
FROM generate_series(1, $1::int) AS n
"""
Query: TypeAlias = ListProductsRequest | SearchProductsRequest

QUERIES: Final[dict[str, Query]] = {
    "10 substrings, OR": ListProductsRequest(filter=" OR ".join(f"title : q{n}z" for n in range(10))),
    "10 substrings, AND": ListProductsRequest(filter=" AND ".join(["title : 'the great product'"] * 10)),
    "two characters": ListProductsRequest(filter="title : zq", order_by="price"),
    "matches nothing": ListProductsRequest(filter="price.currency_code = USD", order_by="title"),
    "the longest pages": ListProductsRequest(page_size=1000),
    "common words": SearchProductsRequest(query="fine thing garden home number great product", page_size=1000),
    "a phrase nowhere": SearchProductsRequest(query='"home fine"'),
}


async def main(products: int) -> None:
    """Fills a database, starts the service and an edge, and measures each kind of query."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # PostgreSQL may run as a user of its own
        async with Postgres(Path(name, "postgres")) as postgres:
            await postgres.create_databases("catalog")
            url = postgres.url("catalog")
            migrate(url, [MESH_FOLDER, ROOT / "services" / "catalog" / "migrations"])
            names = await fill(url, products)
            with started(url) as (grpc_port, edge_url):
                for title, query in QUERIES.items():
                    print(f"{title:20} {await measure(query, names, grpc_port, edge_url)}", flush=True)


async def fill(url: str, products: int) -> list[str]:
    """Inserts the products and returns the names of some."""
    connection = await asyncpg.connect(url)
    await connection.execute(FILL, products)
    await connection.execute("ANALYZE products")
    rows = await connection.fetch("SELECT uid FROM products LIMIT 100")
    await connection.close()
    return [f"products/{row['uid']}" for row in rows]


@contextmanager
def started(url: str) -> Iterator[tuple[int, str]]:
    """Runs the catalog service and an edge during the block. Yields the port of the service and the URL of the edge."""
    grpc_port, ops_port, edge_port = free_ports(3)
    os.environ |= {"DATABASE_URL": url, "BROKER_URL": "nats://127.0.0.1:1", "TOKEN_ISSUER": "https://none.example"}
    os.environ |= {"JWKS_URL": "http://127.0.0.1:1/", "GRPC_PORT": str(grpc_port), "OPS_PORT": str(ops_port)}
    edge_url = f"http://127.0.0.1:{edge_port}"
    with ExitStack() as stack:
        stack.enter_context(program("-m", "services.catalog"))
        os.environ["OPS_PORT"] = str(edge_port)
        upstream = f"*=127.0.0.1:{grpc_port}"
        contracts = ("--contracts", ROOT / "gen" / "contracts.binpb")
        stack.enter_context(program("-m", "edge", *contracts, "--upstream", upstream, "--port", edge_port))
        until_ready(edge_url)
        yield grpc_port, edge_url


def until_ready(url: str) -> None:
    """Waits until the edge and the service are ready."""
    for _ in range(300):
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit("The edge does not get ready.")


async def measure(query: Query, names: list[str], grpc_port: int, edge_url: str) -> str:
    """Runs the visitors and the attackers concurrently. Returns the figures as text."""
    end = time.monotonic() + SECONDS
    times_s: list[float] = []
    reads: Counter[int] = Counter()
    calls: Counter[str] = Counter()
    method = "ListProducts" if isinstance(query, ListProductsRequest) else "SearchProducts"

    async def attack() -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}") as channel:
            call: Any = channel.unary_unary(f"/meshwright.catalog.v1.CatalogService/{method}")
            while time.monotonic() < end:
                try:
                    await call(query.to_binary(), timeout=5)
                    calls["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    calls[error.code().name] += 1
                    await asyncio.sleep(0.02)

    async def visit(client: httpx.AsyncClient) -> None:
        while time.monotonic() < end:
            begun = time.monotonic()
            reads[(await client.get(f"/v1/{random.choice(names)}")).status_code] += 1
            times_s.append(time.monotonic() - begun)
            await asyncio.sleep(0.05)

    used_s = database_cpu_s()
    async with httpx.AsyncClient(base_url=edge_url, timeout=30) as client:
        await asyncio.gather(*(attack() for _ in range(ATTACKERS)), *(visit(client) for _ in range(VISITORS)))
    times_s.sort()
    median_ms, late_ms = (times_s[int(len(times_s) * share)] * 1000 for share in (0.5, 0.99))
    succeeded = reads[200] / reads.total()
    return (
        f"visitors {succeeded:4.0%} of {reads.total():3}, p50 {median_ms:4.0f} ms, p99 {late_ms:4.0f} ms; "
        f"PostgreSQL {database_cpu_s() - used_s:4.1f} s; attackers {dict(calls)}"
    )


def database_cpu_s() -> float:
    """Returns the CPU time that PostgreSQL's sessions of the catalog have used."""
    processes = (each for each in psutil.process_iter(["cmdline"]) if each.info["cmdline"])
    return sum(cpu_s(each) for each in processes if " catalog catalog " in " ".join(each.info["cmdline"]))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000))
