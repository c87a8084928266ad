"""Products in PostgreSQL. Every function works inside the transaction it is given."""

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.money import Money
from mesh.pagination import Page
from mesh.position import Key
from services.catalog.condition import Arguments, SortColumn, Walk, found_by_index, indexed_part, matching
from services.catalog.domain import Details, Product, not_searchable
from services.catalog.filter import Expression
from services.catalog.listing import Listing

# A page of long descriptions holds fewer products than asked for: a message may have 4 MiB.
PAGE_TEXT_BYTES_MAX = 3 * 1024 * 1024

_COLUMNS = (
    "uid, title, description, category, currency, price_hundredths, create_time, update_time, delete_time, version"
)

# The rank as an integer of millionths, so that it comes back from a page token as it was.
_BEST_FIRST = Walk((SortColumn("score", int), SortColumn("uid", UUID)), descending=True)
SEARCH_KEY_TYPES: tuple[type[Key], ...] = tuple(column.key_type for column in _BEST_FIRST.columns)

FOUND_MAX = 2000
"""How many products may be read out of order, because a part of a filter is so selective, and sorted."""

RANKED_MAX = 1000
SEARCH_NODES_MAX = 20  # words and operators

# The planner would rather read and sort a table, however large, than walk an index for what seems to be most of it. A
# plan for any values would be a plan for the wrong ones.
_INDEXES_ONLY = """
SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan
"""
_BITMAPS_ONLY = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off"
_WALKS = "SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on"

_SEARCH_PROBLEM = """
SELECT CASE WHEN numnode(query) > $2 THEN 'long' WHEN querytree(query) = 'T' THEN 'negative' END
FROM websearch_to_tsquery('english', $1) AS query
"""
_SEARCH_PROBLEMS = {
    "long": "is too much to look for at once; use at most ten words",
    "negative": 'must have a word to find: a search for all that lacks a word ("-word") would find nearly everything',
}


async def insert(tx: Connection, product: Product) -> None:
    """Writes a new product."""
    await tx.execute(
        f"INSERT INTO products ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", *_values(product)
    )


async def update(tx: Connection, product: Product) -> None:
    """Writes a changed product. Its row must be locked by find(…, lock=True) in this transaction."""
    await tx.execute(
        f"UPDATE products SET ({_COLUMNS}) = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) WHERE uid = $1",
        *_values(product),
    )


def _values(product: Product) -> tuple[object, ...]:
    details = product.details
    return (
        product.uid,
        details.title,
        details.description,
        details.category,
        details.price.currency,
        details.price.hundredths,
        product.create_time,
        product.update_time,
        product.delete_time,
        product.version,
    )


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> Product | None:
    """A product, deleted or not; with `lock`, nobody else changes it until the transaction ends."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM products WHERE uid = $1 {'FOR UPDATE' if lock else ''}", uid)
    return None if row is None else _product(row)


async def find_all(tx: Connection, uids: Iterable[UUID]) -> list[Product]:
    """Those of these products that exist, deleted ones too, in no order."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM products WHERE uid = ANY($1)", list(uids))
    return [_product(row) for row in rows]


def key_types(listing: Listing) -> list[type[Key]]:
    """The types of the sort key of list_products()."""
    return [column.key_type for column in _walk(listing).columns]


def _walk(listing: Listing) -> Walk:
    return Walk.of(listing.order, listing.expression)


async def list_products(tx: Connection, listing: Listing, page: Page) -> tuple[list[Product], str]:
    """A page of a list, and the next page's token.

    It looks at `listing.rows_examined_max` products at most, so it may hold fewer than asked for, or none, and still
    have a next page (AIP-158). If an index finds the few products that a part of the filter matches, it looks at
    those; else it walks through the products in the order of the list.
    """
    await tx.execute(_INDEXES_ONLY)
    walk, arguments = _walk(listing), Arguments()
    part = indexed_part(listing.expression)
    after = [] if page.after is None else [walk.after(page.after, arguments)]
    if part is not None and await _matches_few(tx, part):
        # OFFSET keeps the planner from walking in the order of the list after all.
        found = f"(SELECT * FROM products WHERE {found_by_index(part, arguments)} OFFSET 0) AS found"
    else:
        bounds = walk.bounds(listing.expression, arguments, end_only=page.after is not None)
        found = "products"
        after += bounds
    examined = f"""
        SELECT {_COLUMNS} FROM {found} WHERE {" AND ".join(after) or "true"}
        ORDER BY {walk.ordering()} LIMIT {listing.rows_examined_max}
    """
    condition = matching(listing.expression, arguments)
    if not listing.show_deleted:
        condition = f"{condition} AND delete_time IS NULL"
    return await _read_page(tx, examined, listing.rows_examined_max, condition, walk, arguments, page)


async def _matches_few(tx: Connection, part: Expression) -> bool:
    """Whether an index finds at most FOUND_MAX products for this part of a filter. If so, only bitmap scans are used
    for the rest of the transaction, for a misjudged condition on trigrams is expensive anywhere else.
    """
    arguments = Arguments()
    found = f"SELECT FROM products WHERE {found_by_index(part, arguments)}"
    [plan] = json.loads(await tx.fetchval(f"EXPLAIN (FORMAT JSON) {found}", *arguments.values))
    if plan["Plan"]["Plan Rows"] > FOUND_MAX:
        return False
    await tx.execute(_BITMAPS_ONLY)
    query = f"SELECT count(*) FROM ({found} LIMIT {FOUND_MAX + 1}) AS found"
    if await tx.fetchval(query, *arguments.values) <= FOUND_MAX:
        return True
    await tx.execute(_WALKS)
    return False


async def search(tx: Connection, query: str, page: Page) -> tuple[list[Product], str]:
    """A page of the products that are not deleted and match a query of a search box, and the next page's token.

    Of the products that match, RANKED_MAX are ranked and given. Raises InvalidArgument if the query is too much work.
    """
    if problem := await tx.fetchval(_SEARCH_PROBLEM, query, SEARCH_NODES_MAX):
        raise not_searchable(_SEARCH_PROBLEMS[problem])
    await tx.execute(_INDEXES_ONLY)
    await tx.execute(_BITMAPS_ONLY)
    arguments = Arguments()
    after = "true" if page.after is None else _BEST_FIRST.after(page.after, arguments)
    examined = f"""
        SELECT * FROM (
            SELECT {_COLUMNS}, round(ts_rank(search, query) * 1000000)::bigint AS score
            FROM products, websearch_to_tsquery('english', {arguments.add(query)}) AS query
            WHERE search @@ query AND delete_time IS NULL LIMIT {RANKED_MAX}
        ) AS found WHERE {after} ORDER BY {_BEST_FIRST.ordering()}
    """
    return await _read_page(tx, examined, RANKED_MAX + 1, "true", _BEST_FIRST, arguments, page)


async def _read_page(
    tx: Connection, examined: str, examined_max: int, condition: str, walk: Walk, arguments: Arguments, page: Page
) -> tuple[list[Product], str]:
    """One page of those of the examined rows that meet the condition. If as many were examined as may be, the next page
    begins after the last of them.

    PostgreSQL sends no more than fit into an answer, and the first row after them, by which split() knows of it.
    """
    order = walk.ordering()
    query = f"""
        SELECT * FROM (
            SELECT *, sum({_TEXT_BYTES}) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) AS text_bytes_so_far FROM (
                SELECT * FROM (
                    SELECT *, {condition} AS matches, row_number() OVER (ORDER BY {order}) AS position
                    FROM ({examined}) AS examined
                ) AS numbered
                WHERE matches OR position = {examined_max} ORDER BY {order} LIMIT {arguments.add(page.limit)}
            ) AS page
        ) AS measured
        WHERE text_bytes_so_far - ({_TEXT_BYTES}) <= {PAGE_TEXT_BYTES_MAX} ORDER BY {order}
    """
    rows = await tx.fetch(query, *arguments.values)
    matches = [row for row in rows if row["matches"]]
    fitting = sum(1 for row in matches if row["text_bytes_so_far"] <= PAGE_TEXT_BYTES_MAX)
    given, next_page_token = replace(page, size=min(page.size, fitting)).split(matches, partial(_key, walk))
    if not next_page_token and rows and rows[-1]["position"] == examined_max:
        next_page_token = page.token(_key(walk, rows[-1]))
    return [_product(row) for row in given], next_page_token


def _key(walk: Walk, row: "asyncpg.Record") -> list[Key]:
    return [row[column.name] for column in walk.columns]


_TEXT_BYTES = "octet_length(title) + octet_length(description)"


def _product(row: "asyncpg.Record") -> Product:
    price = Money(row["currency"], row["price_hundredths"])
    return Product(
        row["uid"],
        Details(row["title"], row["description"], row["category"], price),
        row["create_time"],
        row["update_time"],
        row["delete_time"],
        row["version"],
    )
