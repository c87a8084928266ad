"""The methods of CategoriesService."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from meshwright.catalog.v1.categories_grpc import CategoriesServiceBase
from meshwright.catalog.v1.categories_pb import Category as CategoryMessage
from meshwright.catalog.v1.categories_pb import (
    CreateCategoryRequest,
    DeleteCategoryRequest,
    GetCategoryRequest,
    ListCategoriesRequest,
    ListCategoriesResponse,
    UpdateCategoryRequest,
)
from protobuf.wkt import Empty, Timestamp

from mesh.database import Connection, Database
from mesh.field_mask import apply_update
from mesh.idempotency import once
from mesh.pagination import read_page
from mesh.rpc import Call
from services.catalog import category_storage
from services.catalog.domain.category import (
    NAME_PREFIX,
    Category,
    check_unused,
    checked_title,
    existing,
    id_of,
)

PAGE_SIZE_MAX: Final = 200
UPDATABLE: Final = frozenset({"title", "parent"})


class CategoriesHandlers(CategoriesServiceBase):
    """The handlers of CategoriesService. Changes of the tree are made one after the other."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create_category(self, request: CreateCategoryRequest, call: Call) -> CategoryMessage:
        """Creates a category, once for each request_id."""
        wanted = request.category or CategoryMessage()
        category = Category.create(request.category_id, checked_title(wanted.title), _parent(wanted), datetime.now(UTC))
        async with self._database.transaction() as tx:
            return await once(tx, call, request, partial(_create, tx, category))

    async def get_category(self, request: GetCategoryRequest, call: Call) -> CategoryMessage:
        """Returns a category."""
        async with self._database.autocommit() as connection:
            category = existing(await category_storage.find(connection, id_of(request.name)))
            return await _message(connection, category)

    async def list_categories(self, request: ListCategoriesRequest, call: Call) -> ListCategoriesResponse:
        """Returns a page of the categories."""
        page = read_page(
            request.page_size,
            request.page_token,
            query=(request.parent,),
            key_types=category_storage.KEY_TYPES,
            size_max=PAGE_SIZE_MAX,
        )
        parent = id_of(request.parent) or None
        async with self._database.autocommit() as connection:
            if parent is not None:
                existing(await category_storage.find(connection, parent))
            found, next_page_token = await category_storage.list_categories(connection, parent, page)
            messages = await _messages(connection, found)
        return ListCategoriesResponse(categories=messages, next_page_token=next_page_token)

    async def update_category(self, request: UpdateCategoryRequest, call: Call) -> CategoryMessage:
        """Updates the fields that the mask names. A new parent moves the category."""
        patch = request.category or CategoryMessage()
        async with self._database.transaction() as tx:
            tree = await category_storage.lock_tree(tx)
            category = existing(await category_storage.find(tx, id_of(patch.name)))
            wanted = apply_update(await _message(tx, category), patch, request.update_mask, updatable=UPDATABLE)
            title, parent = checked_title(wanted.title), _parent(wanted)
            changed = category.update(title, parent, patch.etag, datetime.now(UTC))
            moved: Sequence[str] = ()
            if parent != category.parent:
                tree.check_move(category.id, parent)
                moved = tree.subtree(category.id)[1:]
            if changed is not category:
                await category_storage.update(tx, changed, moved)
            return await _message(tx, changed)

    async def delete_category(self, request: DeleteCategoryRequest, call: Call) -> Empty:
        """Deletes a category that is not in use."""
        async with self._database.transaction() as tx:
            await category_storage.lock_tree(tx)
            category = existing(await category_storage.find(tx, id_of(request.name)))
            category.check_version(request.etag)
            check_unused(*await category_storage.lock_unused(tx, category.id))
            await category_storage.delete(tx, category.id)
        return Empty()


async def _create(tx: Connection, category: Category) -> CategoryMessage:
    tree = await category_storage.lock_tree(tx)
    tree.check_new(category.id, category.parent)
    await category_storage.insert_all(tx, [category])
    return await _message(tx, category)


def _parent(message: CategoryMessage) -> str | None:
    return id_of(message.parent) or None


async def _message(tx: Connection, category: Category) -> CategoryMessage:
    [message] = await _messages(tx, [category])
    return message


async def _messages(tx: Connection, categories: Sequence[Category]) -> list[CategoryMessage]:
    above = await category_storage.ancestors(tx, [each.id for each in categories])
    return [
        CategoryMessage(
            name=each.name,
            title=each.title,
            parent="" if each.parent is None else f"{NAME_PREFIX}{each.parent}",
            ancestors=[f"{NAME_PREFIX}{category_id}" for category_id in above[each.id]],
            create_time=Timestamp.from_datetime(each.create_time),
            update_time=Timestamp.from_datetime(each.update_time),
            etag=each.etag,
        )
        for each in categories
    ]
