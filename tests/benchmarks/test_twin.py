"""The twin of the store, end to end: the comparison is void if it does not do its work."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import httpx
import pytest

from benchmarks.http_load import Load, apply
from benchmarks.peers.store import tokens
from benchmarks.store import Progress
from benchmarks.store_sides import JWT_SECRET, TWIN_USER, Side, twin
from local.postgres import Postgres
from local.rabbitmq import RabbitMQServer

CUSTOMER = "ada"
PENDING = {"placed", "reserved"}


@pytest.fixture(scope="module")
async def side(server_folder: Path, postgres: Postgres) -> AsyncIterator[Side]:
    """The running twin."""
    folder = server_folder / "twin"
    async with RabbitMQServer(folder / "rabbitmq", [TWIN_USER]) as server, twin(folder, postgres, server) as running:
        yield running


@pytest.fixture
async def client(side: Side) -> AsyncIterator[httpx.AsyncClient]:
    """A customer's client of the orders."""
    headers = {"authorization": f"Bearer {tokens.issue_token(JWT_SECRET, CUSTOMER)}"}
    url = f"http://127.0.0.1:{side.order_port}"
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        yield client


async def final_status(client: httpx.AsyncClient, placed: httpx.Response) -> str:
    """Returns the status of an order once it is confirmed or cancelled."""
    assert placed.status_code == 201, placed.text
    async with asyncio.timeout(30):
        while (status := (await client.get(f"/orders/{placed.json()['id']}")).json()["status"]) in PENDING:
            await asyncio.sleep(0.02)
    return str(status)


async def stock(side: Side) -> list[tuple[int, int]]:
    """Returns the units of all products, and those of them that are reserved."""
    async with Progress.of(side) as progress:
        rows = await progress.inventory.fetch("SELECT on_hand, reserved FROM stock")
    return [(row["on_hand"], row["reserved"]) for row in rows]


async def test_orders_are_confirmed(side: Side) -> None:
    """Orders placed at once are all paid, and their products have left the stock, one unit of two products each."""
    async with Progress.of(side) as progress:
        over = await progress.over()
        before = sum(on_hand for on_hand, _ in await stock(side))
        answers = await apply(Load(side.order_port, side.orders(12, Random(1)), connections=4))
        assert [answer.status for answer in answers] == [201] * 12, answers[0].body
        await progress.wait_until_over(over + 12)
    units = await stock(side)
    assert sum(on_hand for on_hand, _ in units) == before - 24
    assert all(reserved == 0 for _, reserved in units)


async def test_products_are_read(side: Side) -> None:
    """A read of the load is answered with a product."""
    [answer] = await apply(Load(side.read_port, side.reads(1, Random(1)), connections=1))
    assert answer.status == 200
    assert '"title":"Folding saw"' in answer.body


async def test_an_order_that_is_not_paid_is_cancelled(side: Side, client: httpx.AsyncClient) -> None:
    """Its products are available again."""
    lines = [{"product_id": side.products[0], "quantity": 3}]
    placed = await client.post("/orders", json={"lines": lines, "payment_method": "card_declined"})
    assert await final_status(client, placed) == "cancelled"


async def test_an_order_of_more_than_there_is_is_cancelled(side: Side, client: httpx.AsyncClient) -> None:
    """All lines of a product count together."""
    async with Progress.of(side) as progress:
        await progress.inventory.execute("UPDATE stock SET on_hand = 5 WHERE product_id = $1", side.products[1])
    lines = [{"product_id": side.products[1], "quantity": 3}] * 2
    placed = await client.post("/orders", json={"lines": lines})
    assert await final_status(client, placed) == "cancelled"


@pytest.mark.parametrize(
    ("body", "expected"),
    [({"lines": []}, 422), ({"lines": [{"product_id": str(uuid4()), "quantity": 1}]}, 422)],
    ids=["no lines", "no such product"],
)
async def test_bad_orders_are_rejected(client: httpx.AsyncClient, body: dict[str, Any], expected: int) -> None:
    """Before anything is stored."""
    assert (await client.post("/orders", json=body)).status_code == expected


@pytest.mark.parametrize("token", ["none", "another secret"])
async def test_a_token_is_required(client: httpx.AsyncClient, token: str) -> None:
    """An order needs a token that is signed with the secret of the services."""
    if token == "another secret":
        token = tokens.issue_token(token * 2, CUSTOMER)
    response = await client.post("/orders", json={}, headers={"authorization": f"Bearer {token}"})
    assert response.status_code in {401, 403}
