"""The SQL of categories. Every function runs in its caller's transaction."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from mesh.database import Connection, lock_relation
from mesh.pagination import Page
from mesh.position import Key
from services.catalog.domain.category import Category, Tree

KEY_TYPES: Final[tuple[type[Key], ...]] = (str,)
"""The sort key of list_categories(): the identifier."""

_COLUMNS: Final = "id, title, parent, create_time, update_time, version"
_BELOW: Final = """
WITH RECURSIVE below AS (
    SELECT id FROM categories WHERE id = $1
    UNION ALL
    SELECT child.id FROM below JOIN categories AS child ON child.parent = below.id
)
"""
_ABOVE: Final = """
WITH RECURSIVE above AS (
    SELECT id AS category, id, parent, 0 AS distance FROM categories WHERE id = ANY($1)
    UNION ALL
    SELECT above.category, one.id, one.parent, distance + 1 FROM above JOIN categories AS one ON one.id = above.parent
)
"""


async def lock_tree(tx: Connection) -> Tree:
    """Returns all categories. Only this transaction can change the tree until it ends."""
    await lock_relation(tx, "categories")
    return Tree({row["id"]: row["parent"] for row in await tx.fetch("SELECT id, parent FROM categories")})


async def insert_all(tx: Connection, categories: Iterable[Category]) -> None:
    """Inserts new categories. The tree must be locked by lock_tree()."""
    await tx.executemany(
        f"INSERT INTO categories ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6)", [_values(each) for each in categories]
    )


async def update(tx: Connection, category: Category, moved: Sequence[str]) -> None:
    """Writes a changed category. The tree must be locked by lock_tree(). The versions of those below it, `moved`, grow
    too.
    """
    await tx.execute(f"UPDATE categories SET ({_COLUMNS}) = ($1, $2, $3, $4, $5, $6) WHERE id = $1", *_values(category))
    await tx.execute("UPDATE categories SET version = version + 1 WHERE id = ANY($1)", moved)


async def delete(tx: Connection, category_id: str) -> None:
    """Deletes a category that lock_unused() has found to be unused."""
    await tx.execute("DELETE FROM categories WHERE id = $1", category_id)


async def lock_unused(tx: Connection, category_id: str) -> tuple[str | None, str | None]:
    """Returns a category directly below this one, by its identifier, and a product that belongs to it, by its name;
    None if there is none. The tree must be locked by lock_tree(); no product can be added until the transaction ends.
    """
    await tx.execute("SELECT FROM categories WHERE id = $1 FOR UPDATE", category_id)
    child = await tx.fetchval("SELECT id FROM categories WHERE parent = $1 ORDER BY id LIMIT 1", category_id)
    product = await tx.fetchval(
        """
        SELECT 'products/' || uid FROM products
        WHERE array_prepend(category, additional_categories) @> ARRAY[$1::text] LIMIT 1
        """,
        category_id,
    )
    return child, product


async def find(tx: Connection, category_id: str) -> Category | None:
    """Returns a category, None if there is none."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM categories WHERE id = $1", category_id)
    return None if row is None else _category(row)


async def list_categories(tx: Connection, parent: str | None, page: Page) -> tuple[Sequence[Category], str]:
    """Returns a page of the categories, of those directly below `parent` if it is given, and the next page's token."""
    [after] = page.after or ("",)
    below = "" if parent is None else "AND parent = $3"
    rows = await tx.fetch(
        f"SELECT {_COLUMNS} FROM categories WHERE id > $1 {below} ORDER BY id LIMIT $2",
        *(after, page.limit, *([] if parent is None else [parent])),
    )
    given, next_page_token = page.split(rows, lambda row: [row["id"]])
    return [_category(row) for row in given], next_page_token


async def ancestors(tx: Connection, categories: Collection[str]) -> dict[str, list[str]]:
    """Returns the categories above each of these, from the top down."""
    found: dict[str, list[str]] = {each: [] for each in categories}
    rows = await tx.fetch(
        f"{_ABOVE} SELECT category, id FROM above WHERE distance > 0 ORDER BY distance DESC", list(found)
    )
    for row in rows:
        found[row["category"]].append(row["id"])
    return found


async def subtree(tx: Connection, category_id: str) -> list[str]:
    """Returns a category and all below it; nothing if it does not exist."""
    return [row["id"] for row in await tx.fetch(f"{_BELOW} SELECT id FROM below", category_id)]


async def find_missing(tx: Connection, categories: Collection[str]) -> set[str]:
    """Returns those of these categories that do not exist."""
    rows = await tx.fetch("SELECT id FROM categories WHERE id = ANY($1)", list(categories))
    return set(categories) - {row["id"] for row in rows}


async def hold(tx: Connection, categories: Collection[str]) -> set[str]:
    """Keeps these categories from being deleted until the transaction ends. Returns those that do not exist."""
    rows = await tx.fetch("SELECT id FROM categories WHERE id = ANY($1) ORDER BY id FOR KEY SHARE", list(categories))
    return set(categories) - {row["id"] for row in rows}


def _values(category: Category) -> tuple[object, ...]:
    times = category.create_time, category.update_time
    return category.id, category.title, category.parent, *times, category.version


def _category(row: Any) -> Category:
    return Category(row["id"], row["title"], row["parent"], row["create_time"], row["update_time"], row["version"])
