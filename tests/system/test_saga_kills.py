"""Kills at each step of the saga: right before its commit, and right after it, when the process does not know yet.

The process that takes a step is killed twice for one order, which has to end as if nothing had happened.
"""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.system.breakpoints import Breakpoint, Change, breakpoint_at
from tests.system.mesh import END_LEASES, Client, Mesh, check_invariants, eventually

PLACE = Change("orders", "orders", "NEW.pending_step = 'stock'")
PURCHASE = {
    "place": PLACE,
    "reserve": Change("inventory", "reservations", "NEW.state = 'reserved'"),
    "authorise": Change("payments", "payments", "NEW.state = 'authorized'"),
    "publish": Change("orders", "mesh.outbox", "NEW.published_at IS NOT NULL"),
    "commit stock": Change("inventory", "reservations", "NEW.state = 'committed'"),
    "capture": Change("payments", "payments", "NEW.state = 'captured'"),
    "confirm": Change("orders", "orders", "NEW.state = 'confirmed'"),
}
REFUSAL = {
    "fail": Change("payments", "payments", "NEW.state = 'failed'"),
    "cancel": Change("orders", "orders", "NEW.state = 'cancelled'"),
    "release stock": Change("inventory", "reservations", "NEW.state = 'released'", "UPDATE"),
}
REFUND = {
    "cancel": Change("orders", "orders", "NEW.state = 'cancelled'"),
    "return stock": Change("inventory", "reservations", "NEW.state = 'returned'"),
    "refund": Change("payments", "payments", "NEW.refunded_hundredths > 0"),
}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def product(staff: Client) -> dict[str, Any]:
    """A product of which there are ten units."""
    created = staff.create_product()
    staff.adjust_stock(created, 10)
    return created


def until_answered(call: Callable[[], httpx.Response]) -> dict[str, Any]:
    """Repeats a call until it succeeds, as a careful client does, and returns the answer."""

    def answered() -> dict[str, Any] | None:
        try:
            answer = call()
        except httpx.TransportError:
            return None
        assert answer.is_success or answer.status_code in {503, 504, 409}, answer.text
        return answer.json() if answer.is_success else None

    answer: dict[str, Any] = eventually(answered)
    return answer


async def place(customer: Client, product: dict[str, Any], payment_method: str = "") -> dict[str, Any]:
    """Places an order, by one request that is repeated."""
    request_id = str(uuid.uuid4())
    return await asyncio.to_thread(
        until_answered, lambda: customer.order(product, request_id=request_id, payment_method=payment_method)
    )


async def kill_twice(mesh: Mesh, breakpoint_: Breakpoint, change: Change) -> None:
    """Kills the process that makes a change before its commit, and its successor after it."""
    await breakpoint_.kill_before_commit()
    await end_lease(breakpoint_, change)
    await breakpoint_.kill_after_commit()
    await end_lease(breakpoint_, change)
    await asyncio.to_thread(mesh.wait_until_ready, change.service)


async def end_lease(breakpoint_: Breakpoint, change: Change) -> None:
    """Saves us the half minute for which the killed process has taken a payment."""
    if change.service in END_LEASES:
        await breakpoint_.execute(END_LEASES[change.service])


def count_orders(customer: Client) -> int:
    """Returns the number of the customer's orders."""
    return len(until_answered(lambda: customer.get("/v1/orders")).get("orders", []))


@pytest.mark.parametrize("step", PURCHASE)
async def test_an_order_survives_kills(mesh: Mesh, customer: Client, product: dict[str, Any], step: str) -> None:
    """The order is placed once, and paid once."""
    change = PURCHASE[step]
    async with breakpoint_at(mesh, change) as reached:
        placing = asyncio.create_task(place(customer, product))
        await kill_twice(mesh, reached, change)
    placed = await placing
    await asyncio.to_thread(customer.wait_for_order, placed["name"], "STATE_CONFIRMED")
    assert count_orders(customer) == 1
    await check_invariants(mesh)


@pytest.mark.parametrize("step", REFUSAL)
async def test_a_declined_order_survives_kills(
    mesh: Mesh, customer: Client, product: dict[str, Any], step: str
) -> None:
    """The order is cancelled, and its units are available again."""
    change = REFUSAL[step]
    async with breakpoint_at(mesh, change) as reached:
        placed = await place(customer, product, "card_declined")
        await kill_twice(mesh, reached, change)
    await asyncio.to_thread(customer.wait_for_order, placed["name"], "STATE_CANCELLED")
    await check_invariants(mesh)


@pytest.mark.parametrize("step", REFUND)
async def test_a_refund_survives_kills(mesh: Mesh, customer: Client, product: dict[str, Any], step: str) -> None:
    """The order is cancelled once, its total is paid back once, and its units return once."""
    placed = await place(customer, product)
    await asyncio.to_thread(customer.wait_for_order, placed["name"], "STATE_CONFIRMED")
    await check_invariants(mesh)
    change = REFUND[step]
    async with breakpoint_at(mesh, change) as reached:
        cancel = f"/v1/{placed['name']}:cancel"
        cancelling = asyncio.create_task(asyncio.to_thread(until_answered, lambda: customer.post(cancel, json={})))
        await kill_twice(mesh, reached, change)
    cancelled = await cancelling
    assert cancelled["state"] == "STATE_CANCELLED"
    order = await asyncio.to_thread(
        eventually, lambda: (answer := customer.get(f"/v1/{placed['name']}").json()).get("refunded") and answer
    )
    assert order["refunded"] == order["total"]
    await check_invariants(mesh)


async def test_an_answer_that_is_lost_is_given_again(mesh: Mesh, customer: Client, product: dict[str, Any]) -> None:
    """The edge dies when the order is written, and its customer does not know. The repeated request places no other."""
    async with breakpoint_at(mesh, PLACE) as reached:
        placing = asyncio.create_task(place(customer, product))
        await reached.kill_after_commit("edge")
    placed = await placing
    assert count_orders(customer) == 1
    await asyncio.to_thread(mesh.wait_until_ready, "edge")
    await asyncio.to_thread(customer.wait_for_order, placed["name"], "STATE_CONFIRMED")
    await check_invariants(mesh)
