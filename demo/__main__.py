"""The command that fills a running mesh with products, customers and orders: python -m demo.

It can be repeated, and adds nothing twice.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from demo.client import DemoError, Shop
from demo.confirmation import confirm_addresses
from demo.customers import Customer, customers
from demo.products import CATEGORIES, products
from demo.running_shop import running_url, staff_login
from local.errors import SetupError
from local.home import Home
from local.mailbox import Mailbox

CUSTOMER_PASSWORD = "demo customer"  # not a secret: the customers are fictional

T = TypeVar("T")
R = TypeVar("R")


def main() -> int:
    """Fills the shop and returns the exit status."""
    try:
        home = Home.of_environment()
        asyncio.run(fill(running_url(home), staff_login(home), Mailbox(home.data("mail"))))
    except (DemoError, SetupError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. To continue, run `make demo` again.", file=sys.stderr)
        return 1
    return 0


async def fill(url: str, login: tuple[str, str], mailbox: Mailbox) -> None:
    """Creates everything as staff with this login, and shows the progress. Mails of the shop are in the mailbox."""
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    goods = products()
    people = customers(len(goods))
    async with Shop(url) as shop:
        staff = await shop.token(*login)
        with Progress(*columns) as progress:
            bars = [
                progress.add_task(description, total=total)
                for description, total in (
                    ("products", len(goods)),
                    ("customers", len(people)),
                    ("addresses", len(people)),
                    ("orders", sum(len(person.orders) for person in people)),
                )
            ]
            for category in CATEGORIES:
                await shop.create_category(category, staff)
            names = await each(goods, lambda product: shop.create_product(product, staff), progress, bars[0])
            await shop.fill_stock(names, staff)
            tokens = await each(people, lambda person: sign_up(shop, person), progress, bars[1])
            logins = {person.email: token for person, token in zip(people, tokens, strict=True)}
            unconfirmed = await confirm_addresses(shop, mailbox, logins, partial(progress.advance, bars[2]))
            orders = [
                (person, number, token)
                for person, token in zip(people, tokens, strict=True)
                for number in range(len(person.orders))
            ]
            await each(orders, lambda order: place(shop, names, *order), progress, bars[3])
    if unconfirmed:
        print(f"{unconfirmed} customers have received no link that confirms their address, so no mails about orders.")
    print(f"The shop is full: {url.replace('127.0.0.1', 'localhost')}/v1/products")
    print(f"Sign in as {people[0].email} with the password {CUSTOMER_PASSWORD!r}, as every customer.")


async def each(things: Iterable[T], work: Callable[[T], Awaitable[R]], progress: Progress, bar: TaskID) -> list[R]:
    """Does the work for all things concurrently; the shop limits the number of concurrent calls. Stops at the first
    error.
    """

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
    """Registers a customer, and returns an access token."""
    await shop.register(customer, CUSTOMER_PASSWORD)
    return await shop.token(customer.email, CUSTOMER_PASSWORD)


async def place(shop: Shop, products: Sequence[str], customer: Customer, number: int, token: str) -> None:
    """Places one order of a customer, and cancels it if the demo data says so."""
    order = customer.orders[number]
    quantities = {products[product]: quantity for product, quantity in order.quantities.items()}
    name = await shop.create_order(quantities, f"{customer.email} {number}", token)
    if order.cancelled:
        await shop.cancel_order(name, token)


if __name__ == "__main__":
    sys.exit(main())
