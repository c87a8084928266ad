"""The categories of products that are written or listed."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from mesh.database import Connection
from mesh.errors import FieldViolation, invalid_fields
from services.catalog import category_storage
from services.catalog.domain.category import Category, not_found, too_many
from services.catalog.domain.product import Details, Product, changed_meanwhile


@dataclass(frozen=True, slots=True)
class AvailableCategories:
    """The categories that products may name: those that exist, and new ones for which there is room."""

    existing: Set[str] = frozenset()
    new: Set[str] = frozenset()

    def check(self, details: Details) -> None:
        """Raises FailedPrecondition if there is no room for the main category, InvalidArgument if an additional one
        does not exist.
        """
        available = self.existing | self.new
        _check_additional(details, set(details.additional_categories) - available)
        if details.category not in available:
            raise too_many()


async def hold_categories(
    tx: Connection, products: Sequence[Product], now: datetime, new: Set[str] = frozenset()
) -> None:
    """Keeps the categories of products from being deleted until the transaction ends. Creates missing main ones at the
    top, and missing additional ones if they are `new`; raises InvalidArgument if others are missing.

    Lock the products before this, never after: the locks are taken in the order of products, tree and categories.
    """
    main = {product.details.category for product in products}
    wanted = main.union(*(product.details.additional_categories for product in products))
    missing = await category_storage.find_missing(tx, wanted)
    for product in products:
        _check_additional(product.details, missing - main - new)
    if missing:
        await _create(tx, sorted(missing), now)
    if await category_storage.hold(tx, wanted):
        raise changed_meanwhile()


async def find_available(tx: Connection, details: Sequence[Details]) -> AvailableCategories:
    """Returns the categories that these products may name. Their new main categories are available in the order of the
    products, while there is room; if there are any, the tree is locked.
    """
    main = {each.category for each in details}
    wanted = main.union(*(each.additional_categories for each in details))
    missing = await category_storage.find_missing(tx, wanted)
    # A product that names an unknown category is rejected, and must take no room.
    valid = [each for each in details if missing.isdisjoint(set(each.additional_categories) - main)]
    new = dict.fromkeys(each.category for each in valid if each.category in missing)
    if not new:
        return AvailableCategories(wanted - missing)
    tree = await category_storage.lock_tree(tx)
    return AvailableCategories(wanted & tree.parents.keys(), set(tree.fitting(new)))


async def categories_below(tx: Connection, category_id: str) -> Sequence[str]:
    """Returns a category and all below it. Raises NotFound if there is none."""
    if not (found := await category_storage.subtree(tx, category_id)):
        raise not_found()
    return found


def _check_additional(details: Details, unknown: Set[str]) -> None:
    """Raises InvalidArgument if the details name an additional category that is unknown."""
    violations = [
        FieldViolation(f"product.additional_categories[{index}]", "does not exist", "NOT_FOUND")
        for index, each in enumerate(details.additional_categories)
        if each in unknown
    ]
    if violations:
        raise invalid_fields(violations)


async def _create(tx: Connection, implied: Sequence[str], now: datetime) -> None:
    tree = await category_storage.lock_tree(tx)
    new = [Category.implied(each, now) for each in implied if each not in tree.parents]
    tree.check_room(len(new))
    await category_storage.insert_all(tx, new)
