"""Fills a running mesh with products, customers and orders: python -m demo.

Running it again adds nothing twice.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from demo.client import DemoError, Shop
from demo.customers import Customer, customers
from demo.products import products
from local import processes
from local.declarations.checkout import read_services
from local.home import Home
from local.state import State

CUSTOMER_PASSWORD = "demo customer"  # of people who do not exist, in a shop on this machine

T = TypeVar("T")
R = TypeVar("R")


def main() -> int:
    """Returns the exit status."""
    home = Home.of_environment()
    try:
        asyncio.run(fill(running_url(home), home.secret("staff-password")))
    except DemoError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped half-way. Running it again goes on from here.", file=sys.stderr)
        return 1
    return 0


def running_url(home: Home) -> str:
    """Where the mesh of this checkout answers. Raises DemoError when none runs."""
    processes = State.read(home.state_file).processes if home.supervisor_pid() else []
    for process in processes:
        if process.name == "edge":
            return f"http://127.0.0.1:{process.port}"
    raise DemoError("No mesh runs here. Start one with `make up`, and try again.")


async def fill(url: str, staff_password: str) -> None:
    """Make everything, showing how far it is."""
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    goods = products()
    people = customers(len(goods))
    async with Shop(url) as shop:
        staff = await shop.token(processes.staff_email(read_services(Path())), staff_password)
        with Progress(*columns) as progress:
            bars = [
                progress.add_task(description, total=total)
                for description, total in (
                    ("products", len(goods)),
                    ("customers", len(people)),
                    ("orders", sum(len(person.orders) for person in people)),
                )
            ]
            names = await each(goods, lambda product: shop.create_product(product, staff), progress, bars[0])
            tokens = await each(people, lambda person: sign_up(shop, person), progress, bars[1])
            orders = [
                (person, number, token)
                for person, token in zip(people, tokens, strict=True)
                for number in range(len(person.orders))
            ]
            await each(orders, lambda order: place(shop, names, *order), progress, bars[2])
    print(f"The shop is full: {url.replace('127.0.0.1', 'localhost')}/v1/products")
    print(f"Sign in as {people[0].email} with the password {CUSTOMER_PASSWORD!r}, as every customer.")


async def each(things: Iterable[T], work: Callable[[T], Awaitable[R]], progress: Progress, bar: TaskID) -> list[R]:
    """Do the work for all things at once; the shop bounds how many calls run. Stops at the first error."""

    async def one(thing: T) -> R:
        result = await work(thing)
        progress.advance(bar)
        return result

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(thing)) for thing in things]
    except* DemoError as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def sign_up(shop: Shop, customer: Customer) -> str:
    """Returns the customer's access token."""
    await shop.register(customer, CUSTOMER_PASSWORD)
    return await shop.token(customer.email, CUSTOMER_PASSWORD)


async def place(shop: Shop, products: Sequence[str], customer: Customer, number: int, token: str) -> None:
    """Place the customer's order of this number, and cancel it where that is how it went."""
    order = customer.orders[number]
    quantities = {products[product]: quantity for product, quantity in order.quantities.items()}
    name = await shop.create_order(quantities, f"{customer.email} {number}", token)
    if order.cancelled:
        await shop.cancel_order(name, token)


if __name__ == "__main__":
    sys.exit(main())
