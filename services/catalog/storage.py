"""The SQL of products. Every function runs in its caller's transaction."""

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.money import Money
from mesh.pagination import Page
from mesh.position import Key
from services.catalog.domain.product import Details, PriceInForce, Product, created_meanwhile, not_searchable
from services.catalog.filter import Expression
from services.catalog.listing import Listing
from services.catalog.sql_conditions import Arguments, IndexScan, SortColumn, found_by_index, indexed_part, matching

# A page with long descriptions has fewer products than requested, because a message may have at most 4 MiB.
PAGE_TEXT_BYTES_MAX = 3 * 1024 * 1024

CHANNEL = "catalog_products"
"""The channel of NOTIFY after products were changed. The payloads are their identifiers."""

_COLUMNS = (
    "uid, title, description, category, additional_categories, currency, price_hundredths, create_time, update_time, "
    "delete_time, version, price_uid, regular_currency, regular_hundredths, next_price_change"
)
_PLACEHOLDERS = ", ".join(f"${number}" for number in range(1, 16))
_INSERT = f"INSERT INTO products ({_COLUMNS}) VALUES ({_PLACEHOLDERS})"
_UPDATE = f"UPDATE products SET ({_COLUMNS}) = ({_PLACEHOLDERS}) WHERE uid = $1"

# The rank in millionths, as an integer, so that a page token holds it exactly.
_BEST_FIRST = IndexScan((SortColumn("score", int), SortColumn("uid", UUID)), descending=True)
SEARCH_KEY_TYPES: tuple[type[Key], ...] = tuple(column.key_type for column in _BEST_FIRST.columns)

FOUND_MAX = 2000
"""The most products that may be found by a selective part of the filter and then sorted."""

RANKED_MAX = 1000
SEARCH_NODES_MAX = 20  # words and operators

# The planner prefers to sort the rows to an index scan for what seems to be most of a table. A generic plan would not
# fit the values.
_INDEXES_ONLY = """
SET LOCAL enable_sort = off; SET LOCAL plan_cache_mode = force_custom_plan
"""
_BITMAPS_ONLY = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off"
_INDEX_SCANS = "SET LOCAL enable_indexscan = on; SET LOCAL enable_indexonlyscan = on"

_SEARCH_PROBLEM = """
SELECT CASE WHEN numnode(query) > $2 THEN 'long' WHEN querytree(query) = 'T' THEN 'negative' END
FROM websearch_to_tsquery('english', $1) AS query
"""
_SEARCH_PROBLEMS = {
    "long": "has too many words; use at most ten",
    "negative": 'must have a word to find: a search only for products without a word ("-word") would find most of them',
}


async def insert(tx: Connection, product: Product) -> None:
    """Inserts a new product."""
    await tx.execute(_INSERT, *_values(product))


async def insert_all(tx: Connection, products: Iterable[Product]) -> None:
    """Inserts new products. Raises Aborted if one was created by a concurrent transaction."""
    try:
        await tx.executemany(_INSERT, [_values(product) for product in products])
    except asyncpg.UniqueViolationError as error:
        raise created_meanwhile() from error


async def update(tx: Connection, product: Product) -> None:
    """Writes a changed product, and notifies CHANNEL. Its row must be locked by find(…, lock=True) in this
    transaction.
    """
    await update_all(tx, [product])


async def update_all(tx: Connection, products: Iterable[Product]) -> None:
    """Writes changed products, and notifies CHANNEL. Their rows must be locked by lock_all() in this transaction."""
    values = [_values(product) for product in products]
    await tx.executemany(_UPDATE, values)
    await tx.execute(
        "SELECT pg_notify($1, uid::text) FROM unnest($2::uuid[]) AS uid", CHANNEL, [each[0] for each in values]
    )


def _values(product: Product) -> tuple[object, ...]:
    details, scheduled = product.details, product.scheduled_price
    return (
        product.uid,
        details.title,
        details.description,
        details.category,
        details.additional_categories,
        product.price.currency,
        product.price.hundredths,
        product.create_time,
        product.update_time,
        product.delete_time,
        product.version,
        *((None,) * 3 if scheduled is None else (scheduled.uid, details.price.currency, details.price.hundredths)),
        product.next_price_change,
    )


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> Product | None:
    """Returns a product, deleted or not, None if there is none; with `lock`, locks it until the transaction ends."""
    row = await tx.fetchrow(f"SELECT {_COLUMNS} FROM products WHERE uid = $1 {'FOR UPDATE' if lock else ''}", uid)
    return None if row is None else _product(row)


async def find_all(tx: Connection, uids: Iterable[UUID]) -> list[Product]:
    """Returns those of these products that exist, including deleted ones, in any order."""
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM products WHERE uid = ANY($1)", list(uids))
    return [_product(row) for row in rows]


async def lock_all(tx: Connection, uids: Iterable[UUID]) -> list[Product]:
    """Returns those of these products that exist, including deleted ones, and locks them until the transaction ends. It
    locks in the order of the identifiers, so that concurrent calls don't deadlock.
    """
    rows = await tx.fetch(f"SELECT {_COLUMNS} FROM products WHERE uid = ANY($1) ORDER BY uid FOR UPDATE", list(uids))
    return [_product(row) for row in rows]


async def take_due(tx: Connection, now: datetime, limit: int) -> list[Product]:
    """Returns products whose price in force changes by now, and locks them; not those that are locked already."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM products WHERE next_price_change <= $1 ORDER BY next_price_change LIMIT $2
        FOR UPDATE SKIP LOCKED
        """,
        now,
        limit,
    )
    return [_product(row) for row in rows]


def key_types(listing: Listing) -> list[type[Key]]:
    """Returns the types of the sort key of list_products()."""
    return [column.key_type for column in _scan(listing).columns]


def _scan(listing: Listing) -> IndexScan:
    return IndexScan.of(listing.order, listing.expression)


async def list_products(tx: Connection, listing: Listing, page: Page) -> tuple[list[Product], str]:
    """Returns a page of a list, and the next page's token.

    Examines at most `listing.rows_examined_max` products, so that a page may have fewer products than requested, or
    none, and still have a next page (AIP-158). If a part of the filter matches few products, by an index, those are
    examined; otherwise the products are scanned in the order of the list.
    """
    await tx.execute(_INDEXES_ONLY)
    scan, arguments = _scan(listing), Arguments()
    part = indexed_part(listing.expression)
    after = [] if page.after is None else [scan.after(page.after, arguments)]
    if part is not None and await _matches_few(tx, part):
        # OFFSET 0 keeps the planner from scanning the index of that order instead.
        found = f"(SELECT * FROM products WHERE {found_by_index(part, arguments)} OFFSET 0) AS found"
    else:
        bounds = scan.bounds(listing.expression, arguments, end_only=page.after is not None)
        found = "products"
        after += bounds
    examined = f"""
        SELECT {_COLUMNS} FROM {found} WHERE {" AND ".join(after) or "true"}
        ORDER BY {scan.ordering()} LIMIT {listing.rows_examined_max}
    """
    condition = matching(listing.expression, arguments)
    if not listing.show_deleted:
        condition = f"{condition} AND delete_time IS NULL"
    return await _read_page(tx, examined, listing.rows_examined_max, condition, scan, arguments, page)


async def _matches_few(tx: Connection, part: Expression) -> bool:
    """Returns whether an index finds at most FOUND_MAX products for this part of a filter. If so, only bitmap scans are
    used for the rest of the transaction, because a misestimated condition on trigrams is expensive in other plans.
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
    await tx.execute(_INDEX_SCANS)
    return False


async def search(tx: Connection, query: str, page: Page) -> tuple[list[Product], str]:
    """Returns a page of the products that match the query of a search box and are not deleted, and the next page's
    token. All pages have at most RANKED_MAX. Raises InvalidArgument if the query is too expensive.
    """
    if problem := await tx.fetchval(_SEARCH_PROBLEM, query, SEARCH_NODES_MAX):
        raise not_searchable(_SEARCH_PROBLEMS[problem])
    await tx.execute(_INDEXES_ONLY)
    await tx.execute(_BITMAPS_ONLY)
    arguments = Arguments()
    tsquery = f"websearch_to_tsquery('english', {arguments.add(query)})"
    after = "true" if page.after is None else _BEST_FIRST.after(page.after, arguments)
    examined = f"""
        SELECT * FROM (
            SELECT {_COLUMNS}, round(ts_rank(search, {tsquery}) * 1000000)::bigint AS score
            FROM ({_candidates(tsquery)}) AS candidates ORDER BY {_BEST_FIRST.ordering()} LIMIT {RANKED_MAX}
        ) AS best WHERE {after} ORDER BY {_BEST_FIRST.ordering()}
    """
    return await _read_page(tx, examined, RANKED_MAX + 1, "true", _BEST_FIRST, arguments, page)


def _candidates(tsquery: str) -> str:
    """Returns the query for the products to rank: first RANKED_MAX that match by their title (weight A), which are
    likely to be the best; if those are fewer, also RANKED_MAX that match by any text.
    """
    return f"""
        WITH by_title AS MATERIALIZED (
            SELECT * FROM (
                SELECT {_COLUMNS}, search FROM products
                WHERE ts_filter(search, '{{a}}') @@ {tsquery} AND delete_time IS NULL LIMIT {RANKED_MAX}
            ) AS titles
            WHERE search @@ {tsquery}
        ), by_any_text AS (
            SELECT {_COLUMNS}, search FROM products
            WHERE search @@ {tsquery} AND delete_time IS NULL AND (SELECT count(*) FROM by_title) < {RANKED_MAX}
            LIMIT {RANKED_MAX}
        )
        SELECT * FROM by_title UNION ALL SELECT * FROM by_any_text WHERE uid NOT IN (SELECT uid FROM by_title)
    """


async def _read_page(
    tx: Connection, examined: str, examined_max: int, condition: str, scan: IndexScan, arguments: Arguments, page: Page
) -> tuple[list[Product], str]:
    """Returns a page of the examined rows that meet the condition, and the next page's token. If the limit of examined
    rows was reached, the next page begins after the last of them.

    PostgreSQL sends only the rows that fit into a response, and one more, by which split() finds out that there is a
    next page.
    """
    order = scan.ordering()
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
    given, next_page_token = replace(page, size=min(page.size, fitting)).split(matches, partial(_key, scan))
    if not next_page_token and rows and rows[-1]["position"] == examined_max:
        next_page_token = page.token(_key(scan, rows[-1]))
    return [_product(row) for row in given], next_page_token


def _key(scan: IndexScan, row: "asyncpg.Record") -> list[Key]:
    return [row[column.name] for column in scan.columns]


_TEXT_BYTES = "octet_length(title) + octet_length(description)"


def _product(row: "asyncpg.Record") -> Product:
    price = regular = Money(row["currency"], row["price_hundredths"])
    scheduled = None
    if row["price_uid"] is not None:
        scheduled, regular = (
            PriceInForce(row["price_uid"], price),
            Money(row["regular_currency"], row["regular_hundredths"]),
        )
    return Product(
        row["uid"],
        Details(row["title"], row["description"], row["category"], regular, tuple(row["additional_categories"])),
        row["create_time"],
        row["update_time"],
        row["delete_time"],
        row["version"],
        scheduled,
        row["next_price_change"],
    )
