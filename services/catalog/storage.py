"""Products in PostgreSQL. Every function works inside the transaction it is given."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.pagination import Key, Page
from services.catalog.condition import Arguments, SortColumn, coming_after, matching, ordering, sort_columns
from services.catalog.domain import Details, Money, Product
from services.catalog.listing import Listing

# A page of long descriptions holds fewer products than asked for: a message may have 4 MiB.
PAGE_TEXT_BYTES_MAX = 3 * 1024 * 1024

_COLUMNS = (
    "uid, title, description, category, currency, price_hundredths, create_time, update_time, delete_time, version"
)

# The rank as an integer of millionths, so that it comes back from a page token as it was.
_BEST_FIRST = (SortColumn("score", int, descending=True), SortColumn("uid", UUID, descending=True))
SEARCH_KEY_TYPES: tuple[type[Key], ...] = tuple(column.key_type for column in _BEST_FIRST)


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
    return [column.key_type for column in sort_columns(listing.order)]


async def list_products(tx: Connection, listing: Listing, page: Page) -> tuple[list[Product], str]:
    """A page of a list, and the next page's token."""
    arguments = Arguments()
    condition = matching(listing.expression, arguments)
    if not listing.show_deleted:
        condition = f"{condition} AND delete_time IS NULL"
    source = f"(SELECT {_COLUMNS} FROM products WHERE {condition}) AS listed"
    return await _read_page(tx, source, sort_columns(listing.order), arguments, page)


async def search(tx: Connection, query: str, page: Page) -> tuple[list[Product], str]:
    """A page of the products that are not deleted and match a query of a search box, and the next page's token."""
    arguments = Arguments()
    source = f"""(
        SELECT {_COLUMNS}, round(ts_rank(search, query) * 1000000)::bigint AS score
        FROM products, websearch_to_tsquery('english', {arguments.add(query)}) AS query
        WHERE search @@ query AND delete_time IS NULL
    ) AS found"""
    return await _read_page(tx, source, _BEST_FIRST, arguments, page)


async def _read_page(
    tx: Connection, source: str, columns: Sequence[SortColumn], arguments: Arguments, page: Page
) -> tuple[list[Product], str]:
    """One page of the rows of `source`.

    PostgreSQL sends no more than fit into an answer, and the first row after them, by which split() knows of it.
    """
    after = "true" if page.after is None else coming_after(columns, page.after, arguments)
    order = ordering(columns)
    query = f"""
        SELECT * FROM (
            SELECT *, {_TEXT_BYTES} AS text_bytes, sum({_TEXT_BYTES}) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING)
                AS text_bytes_so_far
            FROM {source} WHERE {after} ORDER BY {order} LIMIT {arguments.add(page.limit)}
        ) AS page
        WHERE text_bytes_so_far - text_bytes <= {PAGE_TEXT_BYTES_MAX} ORDER BY {order}
    """
    rows = await tx.fetch(query, *arguments.values)
    fitting = sum(1 for row in rows if row["text_bytes_so_far"] <= PAGE_TEXT_BYTES_MAX)
    given, next_page_token = replace(page, size=min(page.size, fitting)).split(
        rows, lambda row: [row[column.name] for column in columns]
    )
    return [_product(row) for row in given], next_page_token


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
