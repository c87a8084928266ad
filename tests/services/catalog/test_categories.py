"""CategoriesService over a real channel, with a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from meshwright.catalog.v1.catalog_grpc import CatalogServiceClient
from meshwright.catalog.v1.catalog_pb import Product
from meshwright.catalog.v1.categories_grpc import CategoriesServiceClient
from meshwright.catalog.v1.categories_pb import (
    Category,
    CreateCategoryRequest,
    DeleteCategoryRequest,
    GetCategoryRequest,
    ListCategoriesRequest,
    UpdateCategoryRequest,
)
from protobuf.wkt import FieldMask

from mesh.database import Database
from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, MeshError, NotFound, PermissionDenied
from services.catalog.category_handlers import CategoriesHandlers
from services.catalog.handlers import CatalogHandlers
from services.catalog.product_cache import ProductCache
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving
from tests.services.catalog.store import Store, wanted


class Shop:
    """A catalog with both of its services."""

    def __init__(self, store: Store, categories: CategoriesServiceClient) -> None:
        self.store = store
        self.categories = categories

    async def create(self, category_id: str, parent: str = "") -> Category:
        """Creates a category below the one with the identifier `parent`."""
        category = Category(title=category_id.title(), parent=f"categories/{parent}" if parent else "")
        with self.store.as_staff():
            return await self.categories.create_category(
                CreateCategoryRequest(category_id=category_id, category=category)
            )

    async def update(self, category_id: str, *paths: str, **fields: Any) -> Category:
        """Updates fields of a category."""
        request = UpdateCategoryRequest(
            category=Category(name=f"categories/{category_id}", **fields), update_mask=FieldMask(paths=list(paths))
        )
        with self.store.as_staff():
            return await self.categories.update_category(request)

    async def delete(self, category_id: str, etag: str = "") -> None:
        """Deletes a category."""
        with self.store.as_staff():
            await self.categories.delete_category(DeleteCategoryRequest(name=f"categories/{category_id}", etag=etag))

    async def get(self, category_id: str) -> Category:
        """Reads a category."""
        return await self.categories.get_category(GetCategoryRequest(name=f"categories/{category_id}"))

    async def titles(self, category_id: str, **fields: Any) -> set[str]:
        """Returns the titles of a category's products."""
        return {product.title for product in await self.store.listed(category=category_id, **fields)}


@pytest.fixture
async def shop(database: Database) -> AsyncIterator[Shop]:
    """Starts a catalog with the categories garden > tools > saws, and gifts."""
    issuer = Issuer()
    async with (
        serving(issuer, CatalogHandlers(database, ProductCache(database))) as port,
        serving(issuer, CategoriesHandlers(database)) as categories_port,
        channel_to(port, "catalog") as channel,
        channel_to(categories_port, "catalog") as categories_channel,
    ):
        store = Store(CatalogServiceClient(channel), database, issuer)
        shop = Shop(store, CategoriesServiceClient(categories_channel))
        for category_id, parent in (("garden", ""), ("tools", "garden"), ("saws", "tools"), ("gifts", "")):
            await shop.create(category_id, parent)
        yield shop


async def test_categories_form_a_tree(shop: Shop) -> None:
    """Each names those above it; lists are paged, of all or of those below one."""
    saws = await shop.get("saws")
    assert (saws.parent, saws.ancestors) == ("categories/tools", ["categories/garden", "categories/tools"])
    listed, token = [], ""
    while True:
        page = await shop.categories.list_categories(ListCategoriesRequest(page_size=3, page_token=token))
        listed += [each.name for each in page.categories]
        if not (token := page.next_page_token):
            break
    assert listed == ["categories/garden", "categories/gifts", "categories/saws", "categories/tools"]
    below = await shop.categories.list_categories(ListCategoriesRequest(parent="categories/garden"))
    assert [each.name for each in below.categories] == ["categories/tools"]
    with pytest.raises(NotFound):
        await shop.categories.list_categories(ListCategoriesRequest(parent="categories/none"))


async def test_a_category_lists_the_products_below_it(shop: Shop) -> None:
    """By their main or additional categories, filtered and in pages; moving a category takes them along."""
    await shop.store.create(wanted("Saw", category="saws", additional_categories=["gifts"]))
    await shop.store.create(wanted("Rake", category="tools"))
    await shop.store.create(wanted("Card", category="gifts"))
    assert await shop.titles("garden", page_size=1, order_by="title") == {"Saw", "Rake"}
    assert await shop.titles("gifts") == {"Saw", "Card"}
    assert await shop.titles("garden", filter="title : saw") == {"Saw"}
    await shop.update("saws", "parent")
    assert await shop.titles("garden") == {"Rake"}
    assert await shop.titles("saws") == {"Saw"}
    with pytest.raises(NotFound) as caught:
        await shop.titles("none")
    assert caught.value.reason == "CATEGORY_NOT_FOUND"


async def test_a_moved_category_has_new_versions_below_it(shop: Shop) -> None:
    """The ancestors are part of what an etag stands for. A stale etag is refused."""
    before = await shop.get("saws")
    await shop.update("tools", "parent", parent="categories/gifts")
    after = await shop.get("saws")
    assert (after.ancestors, after.etag != before.etag) == (["categories/gifts", "categories/tools"], True)
    with pytest.raises(Aborted):
        await shop.update("saws", "title", title="X", etag=before.etag)


async def test_a_cycle_is_refused_also_of_concurrent_moves(shop: Shop) -> None:
    """Of two moves that would make a cycle together, one is refused."""
    for parent in ("garden", "saws"):
        with pytest.raises(FailedPrecondition) as caught:
            await shop.update("garden", "parent", parent=f"categories/{parent}")
        assert caught.value.reason == "CATEGORY_CYCLE"
    answers = await asyncio.gather(
        shop.update("gifts", "parent", parent="categories/garden"),
        shop.update("garden", "parent", parent="categories/gifts"),
        return_exceptions=True,
    )
    assert sorted(type(answer) is Category for answer in answers) == [False, True]


async def test_a_category_in_use_is_not_deleted(shop: Shop) -> None:
    """Categories below it and products keep it, deleted products too."""
    product = await shop.store.create(wanted(category="saws", additional_categories=["gifts"]))
    await shop.store.delete(product.name)
    for category_id, use in (("tools", "categories/saws"), ("saws", product.name), ("gifts", product.name)):
        with pytest.raises(FailedPrecondition) as caught:
            await shop.delete(category_id)
        assert (caught.value.reason, use in caught.value.message) == ("CATEGORY_IN_USE", True)
    await shop.store.undelete(product.name)
    await shop.store.update(Product(name=product.name), "additional_categories")
    with pytest.raises(Aborted):
        await shop.delete("gifts", "7")
    await shop.delete("gifts", "1")
    with pytest.raises(NotFound):
        await shop.get("gifts")


async def test_a_category_is_not_deleted_while_products_come_to_it(shop: Shop) -> None:
    """Whichever wins, no product is left in a category that does not exist."""
    for number in range(5):
        await shop.create(f"c{number}")
        answers = await asyncio.gather(
            shop.store.create(wanted(additional_categories=[f"c{number}"])),
            shop.delete(f"c{number}"),
            return_exceptions=True,
        )
        assert [isinstance(answer, MeshError) for answer in answers].count(True) == 1


async def test_products_name_categories(shop: Shop) -> None:
    """A new main category is created at the top; an additional one must exist."""
    await shop.store.create(wanted(category="sheds"))
    assert ((await shop.get("sheds")).title, (await shop.get("sheds")).parent) == ("Sheds", "")
    with pytest.raises(InvalidArgument) as caught:
        await shop.store.create(wanted(additional_categories=["gifts", "nowhere"]))
    assert [each.field for each in caught.value.violations] == ["product.additional_categories[1]"]


async def test_only_staff_changes_categories(shop: Shop) -> None:
    """Others may read them."""
    with acting_with(shop.store.issuer.token("users/ada", "profile")), pytest.raises(PermissionDenied):
        await shop.categories.delete_category(DeleteCategoryRequest(name="categories/gifts"))
    assert (await shop.get("gifts")).title == "Gifts"
