"""The categories of products that are written or listed."""

from collections.abc import Sequence, Set
from datetime import datetime

from mesh.database import Connection
from mesh.errors import FieldViolation, invalid_fields
from services.catalog import category_storage
from services.catalog.domain.category import Category, not_found
from services.catalog.domain.product import Details, Product, changed_meanwhile


async def hold_categories(tx: Connection, products: Sequence[Product], now: datetime) -> None:
    """Keeps the categories of products from being deleted until the transaction ends. Creates missing main ones at the
    top; raises InvalidArgument if additional ones are missing.

    Lock the products before this, never after: the locks are taken in the order of products, tree and categories.
    """
    main = {product.details.category for product in products}
    wanted = main.union(*(product.details.additional_categories for product in products))
    missing = await category_storage.find_missing(tx, wanted)
    for product in products:
        check_additional(product.details, missing - main)
    if missing:
        await _create(tx, sorted(missing), now)
    if await category_storage.hold(tx, wanted):
        raise changed_meanwhile()


async def find_unknown(tx: Connection, details: Sequence[Details]) -> set[str]:
    """Returns the additional categories of products that neither exist nor will be created as a main one."""
    main = {each.category for each in details}
    additional = set[str]().union(*(each.additional_categories for each in details))
    return await category_storage.find_missing(tx, additional - main)


def check_additional(details: Details, unknown: Set[str]) -> None:
    """Raises InvalidArgument if the details name an additional category that is unknown."""
    violations = [
        FieldViolation(f"product.additional_categories[{index}]", "does not exist", "NOT_FOUND")
        for index, each in enumerate(details.additional_categories)
        if each in unknown
    ]
    if violations:
        raise invalid_fields(violations)


async def categories_below(tx: Connection, category_id: str) -> Sequence[str]:
    """Returns a category and all below it. Raises NotFound if there is none."""
    if not (found := await category_storage.subtree(tx, category_id)):
        raise not_found()
    return found


async def _create(tx: Connection, implied: Sequence[str], now: datetime) -> None:
    tree = await category_storage.lock_tree(tx)
    new = [Category.implied(each, now) for each in implied if each not in tree.parents]
    tree.check_room(len(new))
    await category_storage.insert_all(tx, new)
