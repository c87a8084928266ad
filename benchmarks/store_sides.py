"""The two stores that are compared: ours, and its twin, on one PostgreSQL.

Ours is the part of `make up` that the flows need: the edge, identity, catalog, inventory, orders and payments. The
events of the flows have no other consumers then. Clients call the twin's services directly, without a gateway.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

import httpx

from benchmarks.http_load import request
from benchmarks.peers.store import tokens
from local import processes
from local.brokers import BrokerServer
from local.child import Child, Command
from local.declarations.checkout import read_services
from local.declarations.image import read_contracts
from local.declarations.service import Service
from local.errors import SetupError
from local.home import Home
from local.nats import Nats
from local.ports import LOOPBACK, choose_ports, free_ports
from local.postgres import Postgres
from local.rabbitmq import RabbitMQServer
from mesh.contract.events import Participant, participants
from mesh.events.adapters import provision
from mesh.events.nats import users as nats
from mesh.events.rabbitmq import users as rabbitmq
from mesh.migrations import MESH_FOLDER, migrate

SERVICES: Final = frozenset({"identity", "catalog", "inventory", "orders", "payments"})
TWIN: Final = ("catalog", "inventory", "orders", "payments")
TWIN_USER: Final = rabbitmq.User("twin", ".*", ".*", ".*")
JWT_SECRET: Final = "a secret of the twin's that signs tokens"
PASSWORD: Final = "correct horse battery"  # neither is a secret: nobody else reaches these servers

PRODUCTS: Final = 50
CUSTOMERS: Final = 20
UNITS: Final = 1_000_000
LINES_PER_ORDER: Final = 2
CARD: Final = "card_ok"
READY_TIMEOUT_S: Final = 60.0
PRODUCT: Final = {
    "title": "Folding saw",
    "description": "A saw that folds into its handle, with a blade of hardened steel. " * 4,
    "category": "garden-tools",
}
PRICE_CENTS: Final = 2490


@dataclass(frozen=True, slots=True)
class Side:
    """A running store: its processes, its API, and the databases that tell how far orders are."""

    name: str
    pids: Mapping[str, int]
    read_port: int
    order_port: int
    read_path: str
    order_path: str
    order_body: Callable[[Sequence[str]], dict[str, Any]]
    order_id: str
    """The field of an order that identifies it."""
    orders_url: str
    order_key: str
    inventory_url: str
    count_committed: str
    """The query that counts the orders whose products have left the stock, with which an order ends."""
    products: Sequence[str]
    tokens: Sequence[str]

    def reads(self, count: int, chance: Random) -> list[str]:
        """Returns requests that read a product."""
        return [
            request("GET", self.read_path.format(chance.choice(self.products)), {"x-forwarded-for": _address(number)})
            for number in range(count)
        ]

    def orders(self, count: int, chance: Random) -> list[str]:
        """Returns requests that place an order. The Idempotency-Key has an effect at ours only."""
        return [
            request(
                "POST",
                self.order_path,
                {"authorization": f"Bearer {chance.choice(self.tokens)}", "idempotency-key": str(uuid4())},
                self.order_body(chance.sample(self.products, LINES_PER_ORDER)),
            )
            for _ in range(count)
        ]


def _address(number: int) -> str:
    """Returns one of many addresses of clients, because our edge limits the rate of each."""
    return f"10.0.{number // 250 % 250}.{number % 250}"


def rabbitmq_users(services: Sequence[Participant]) -> tuple[rabbitmq.User, ...]:
    """Returns the users of both sides."""
    return (*rabbitmq.users(services), TWIN_USER)


def flow_participants() -> tuple[Participant, ...]:
    """Returns the services of the flows, as publishers and consumers of events."""
    contracts = read_contracts(Path())
    return tuple(each for each in participants(contracts) if each.name in SERVICES)


def broker_of_ours(name: str, folder: Path, rabbitmq_server: RabbitMQServer) -> BrokerServer:
    """Returns the broker that carries our events: the RabbitMQ of the twin, or a NATS that has to be started."""
    return rabbitmq_server if name == "rabbitmq" else Nats(folder / "nats", nats.users(flow_participants()))


@asynccontextmanager
async def ours(folder: Path, postgres: Postgres, broker: BrokerServer) -> AsyncIterator[Side]:
    """Runs our store during the block."""
    declared = read_services(Path())
    services = [each for each in declared if each.name in SERVICES]
    home = Home(folder / "ours")
    home.create()
    ports = choose_ports(processes.port_variables(declared))
    await _prepare(services, postgres, broker)
    parts = [*(processes.service(each, services, home, ports, postgres, broker) for each in services)]
    # The edge is ready once it has connected to each service. Those that do not run have the address of identity.
    others = {f"{each.variable}_PORT": ports["IDENTITY_PORT"] for each in declared if each.name not in SERVICES}
    parts.append(processes.edge(declared, ports | others))
    own = {"LOG_FORMAT": "json", "TRUSTED_PROXIES": LOOPBACK}
    commands = {part.name: Command(part.argv, {**part.environment, **own}) for part in parts}
    urls = {part.name: part.readyz_url for part in parts}
    async with _running(folder / "ours" / "logs", commands, urls) as pids:
        port = ports["PORT"]
        staff = (processes.staff_email(services), home.secret("staff-password"))
        async with httpx.AsyncClient(base_url=f"http://{LOOPBACK}:{port}", timeout=30) as client:
            products, customers = await _fill_ours(client, staff)
        yield Side(
            name="ours",
            pids=pids,
            read_port=port,
            order_port=port,
            read_path="/v1/{}",
            order_path="/v1/orders",
            order_body=lambda chosen: {
                "lines": [{"product": product, "quantity": 1} for product in chosen],
                "paymentMethod": CARD,
            },
            order_id="uid",
            orders_url=postgres.url("orders"),
            order_key="uid",
            inventory_url=postgres.url("inventory"),
            count_committed="SELECT count(*) FROM reservations WHERE state = 'committed'",
            products=products,
            tokens=customers,
        )


async def _prepare(services: Sequence[Service], postgres: Postgres, broker: BrokerServer) -> None:
    names = [service.name for service in services]
    await postgres.create_databases(*names)
    for name in names:
        await asyncio.to_thread(migrate, postgres.url(name), [MESH_FOLDER, Path("services", name, "migrations")])
    await provision(broker.url(nats.PROVISIONER), flow_participants())


async def _fill_ours(client: httpx.AsyncClient, staff: tuple[str, str]) -> tuple[list[str], list[str]]:
    """Creates products with stock, and customers. Returns the products' names and the customers' tokens."""
    by_staff = {"authorization": f"Bearer {await _sign_in(client, *staff)}"}
    price = {"currencyCode": "EUR", "units": str(PRICE_CENTS // 100), "nanos": PRICE_CENTS % 100 * 10_000_000}
    products = []
    for _ in range(PRODUCTS):
        product = await _call(client, "/v1/products", headers=by_staff, json={**PRODUCT, "price": price})
        adjustment = {"adjustment": {"delta": UNITS, "reason": "REASON_RECEIVED"}}
        await _call(client, f"/v1/{product['name']}/stock:adjust", headers=by_staff, json=adjustment)
        products.append(product["name"])
    customers = []
    for number in range(CUSTOMERS):
        email = f"customer-{number}@example.com"
        await _call(client, "/v1/users", json={"email": email, "password": PASSWORD, "displayName": "Ada"})
        customers.append(await _sign_in(client, email, PASSWORD))
    return products, customers


async def _sign_in(client: httpx.AsyncClient, email: str, password: str) -> str:
    form = {"grant_type": "password", "username": email, "password": password}
    return str((await _call(client, "/v1/oauth2/token", data=form))["access_token"])


@asynccontextmanager
async def twin(folder: Path, postgres: Postgres, rabbitmq_server: RabbitMQServer) -> AsyncIterator[Side]:
    """Runs the twin during the block."""
    databases = {name: f"twin_{name}" for name in TWIN}
    await postgres.create_databases(*databases.values())
    ports = dict(zip(TWIN, free_ports(len(TWIN)), strict=True))
    urls = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}
    commands = {
        name: Command(
            (sys.executable, "-m", "benchmarks.peers.store", name),
            {
                "DATABASE_URL": postgres.url(databases[name]).replace("postgresql:", "postgresql+asyncpg:", 1),
                "BROKER_URL": rabbitmq_server.url(TWIN_USER.name),
                "CATALOG_URL": urls["catalog"],
                "JWT_SECRET": JWT_SECRET,
                "PORT": str(ports[name]),
            },
        )
        for name in TWIN
    }
    async with _running(folder / "twin", commands, {name: f"{url}/readyz" for name, url in urls.items()}) as pids:
        async with httpx.AsyncClient(timeout=30) as client:
            products = await _fill_twin(client, urls)
        yield Side(
            name="twin",
            pids=pids,
            read_port=ports["catalog"],
            order_port=ports["orders"],
            read_path="/products/{}",
            order_path="/orders",
            order_body=lambda chosen: {
                "lines": [{"product_id": product, "quantity": 1} for product in chosen],
                "payment_method": CARD,
            },
            order_id="id",
            orders_url=postgres.url(databases["orders"]),
            order_key="id",
            inventory_url=postgres.url(databases["inventory"]),
            count_committed="SELECT count(*) FROM reservations WHERE status = 'committed'",
            products=products,
            tokens=[tokens.issue_token(JWT_SECRET, str(UUID(int=number))) for number in range(CUSTOMERS)],
        )


async def _fill_twin(client: httpx.AsyncClient, urls: Mapping[str, str]) -> list[str]:
    """Creates products with stock, and returns their ids."""
    by_staff = {"authorization": f"Bearer {tokens.issue_token(JWT_SECRET, 'staff', tokens.STAFF)}"}
    product = {**PRODUCT, "currency": "EUR", "price_cents": PRICE_CENTS}
    products = []
    for _ in range(PRODUCTS):
        created = await _call(client, f"{urls['catalog']}/products", headers=by_staff, json=product)
        path = f"{urls['inventory']}/stock/{created['id']}/adjustments"
        await _call(client, path, headers=by_staff, json={"delta": UNITS})
        products.append(created["id"])
    return products


async def _call(client: httpx.AsyncClient, path: str, **arguments: Any) -> dict[str, Any]:
    response = await client.post(path, **arguments)
    if not response.is_success:
        raise SetupError(f"POST {path}: {response.status_code} {response.text}")
    return dict(response.json())


@asynccontextmanager
async def _running(
    logs: Path, commands: Mapping[str, Command], ready_urls: Mapping[str, str]
) -> AsyncIterator[Mapping[str, int]]:
    """Runs programs during the block, from when all are ready. Yields their process ids."""
    logs.mkdir(parents=True, exist_ok=True)
    children: dict[str, Child] = {}
    async with AsyncExitStack() as stack:
        for name, command in commands.items():
            log = stack.enter_context((logs / f"{name}.log").open("ab"))
            children[name] = await Child.start(command, log)
            stack.push_async_callback(children[name].stop, 5.0)
        async with httpx.AsyncClient() as client:
            deadline = time.monotonic() + READY_TIMEOUT_S
            for name, child in children.items():
                while not await _is_ready(client, ready_urls[name]):
                    if child.exit_code is not None or time.monotonic() > deadline:
                        raise SetupError(f"{name} is not ready:\n{(logs / f'{name}.log').read_text()[-2000:]}")
                    await asyncio.sleep(0.1)
        yield {name: child.pid for name, child in children.items()}


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False
