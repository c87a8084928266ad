"""The SQL of features, and of what becomes stale when they change. Every function runs in its caller's transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from mesh.database import Connection
from services.recommendations.domain.features import Features, Pair
from services.recommendations.domain.ranking import Companion, Neighbour

COMPANIONS_MAX: Final = 1000
"""The companions of a product that are ranked: those in most baskets."""

PAIRS_PER_STATEMENT_MAX: Final = 5_000
"""The most pairs that a statement changes: one for all of a step's exceeded its time limit, at each try."""

PRODUCTS_PER_STATEMENT_MAX: Final = 50
"""The most products whose companions a statement reads: each may have as many as there are products."""


async def change(tx: Connection, features: Features) -> None:
    """Adds a change to the features. Deletes products and pairs that are in no basket any more."""
    await _change_products(tx, sorted(features.products.items()))
    pairs = sorted(features.pairs.items())
    for start in range(0, len(pairs), PAIRS_PER_STATEMENT_MAX):
        await _change_pairs(tx, pairs[start : start + PAIRS_PER_STATEMENT_MAX])


async def _change_products(tx: Connection, changes: Sequence[tuple[UUID, int]]) -> None:
    await tx.execute(
        """
        INSERT INTO product_counts SELECT * FROM unnest($1::uuid[], $2::int[])
        ON CONFLICT (product) DO UPDATE SET baskets = product_counts.baskets + excluded.baskets
        """,
        [product for product, _ in changes],
        [by for _, by in changes],
    )
    removed = [product for product, by in changes if by < 0]
    await tx.execute("DELETE FROM product_counts WHERE product = ANY($1) AND baskets = 0", removed)


async def _change_pairs(tx: Connection, changes: Sequence[tuple[Pair, int]]) -> None:
    await tx.execute(
        """
        INSERT INTO pair_counts SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[])
        ON CONFLICT (product, other) DO UPDATE SET baskets = pair_counts.baskets + excluded.baskets
        """,
        [product for (product, _), _ in changes],
        [other for (_, other), _ in changes],
        [by for _, by in changes],
    )
    removed = [pair for pair, by in changes if by < 0]
    await tx.execute(
        """
        DELETE FROM pair_counts USING unnest($1::uuid[], $2::uuid[]) AS changed (product, other)
        WHERE pair_counts.product = changed.product AND pair_counts.other = changed.other AND baskets = 0
        """,
        [product for product, _ in removed],
        [other for _, other in removed],
    )


async def mark_stale(tx: Connection, products: Collection[UUID]) -> None:
    """Marks the lists of products and of all their companions, whose scores depend on them, as stale."""
    query = """
        INSERT INTO stale_products (product)
        SELECT unnest($1::uuid[]) UNION SELECT other FROM pair_counts WHERE product = ANY($1)
        ON CONFLICT DO NOTHING
    """
    changed = list(products)
    for start in range(0, len(changed), PRODUCTS_PER_STATEMENT_MAX):
        await tx.execute(query, changed[start : start + PRODUCTS_PER_STATEMENT_MAX])


async def take_stale(tx: Connection, limit: int) -> list[UUID]:
    """Takes the products that have been stale for the longest."""
    query = """
        DELETE FROM stale_products WHERE product = ANY(ARRAY(
            SELECT product FROM stale_products ORDER BY stale_time, product LIMIT $1
        )) RETURNING product
    """
    return [row["product"] for row in await tx.fetch(query, limit)]


async def count_baskets(tx: Connection, products: Iterable[UUID]) -> Mapping[UUID, int]:
    """Returns the number of baskets that each product is in, of those that are in any."""
    rows = await tx.fetch("SELECT product, baskets FROM product_counts WHERE product = ANY($1)", list(products))
    return {row["product"]: row["baskets"] for row in rows}


async def find_companions(tx: Connection, product: UUID) -> list[Companion]:
    """Returns the companions of a product that can be bought, at most COMPANIONS_MAX."""
    query = """
        SELECT pairs.other, pairs.baskets AS together, product_counts.baskets
        FROM (
            SELECT other, baskets FROM pair_counts WHERE product = $1
            AND NOT EXISTS (SELECT FROM withdrawn_products WHERE withdrawn_products.product = other AND withdrawn)
            ORDER BY baskets DESC, other LIMIT $2
        ) AS pairs JOIN product_counts ON product_counts.product = pairs.other
    """
    rows = await tx.fetch(query, product, COMPANIONS_MAX)
    return [Companion(row["other"], row["together"], row["baskets"]) for row in rows]


async def find_bestsellers(tx: Connection, without: Sequence[UUID], limit: int) -> list[Neighbour]:
    """Returns the products in most baskets that can be bought; the score is the number of baskets."""
    query = """
        SELECT product, baskets FROM product_counts WHERE product <> ALL($1)
        AND NOT EXISTS (
            SELECT FROM withdrawn_products WHERE withdrawn_products.product = product_counts.product AND withdrawn
        )
        ORDER BY baskets DESC, product LIMIT $2
    """
    return [Neighbour(row["product"], row["baskets"]) for row in await tx.fetch(query, without, limit)]


async def set_withdrawn(tx: Connection, product: UUID, withdrawn: bool) -> None:
    """Records whether a product can't be bought any more."""
    if withdrawn:
        query = """
            INSERT INTO withdrawn_products VALUES ($1, true, true)
            ON CONFLICT (product) DO UPDATE SET withdrawn = true, pending = true WHERE NOT withdrawn_products.withdrawn
        """
    else:
        query = "UPDATE withdrawn_products SET withdrawn = false, pending = true WHERE product = $1 AND withdrawn"
    await tx.execute(query, product)


async def take_pending(tx: Connection, limit: int) -> list[UUID]:
    """Takes products that were withdrawn or have come back since the last call."""
    query = """
        UPDATE withdrawn_products SET pending = false WHERE product IN (
            SELECT product FROM withdrawn_products WHERE pending ORDER BY product LIMIT $1 FOR UPDATE SKIP LOCKED
        ) RETURNING product
    """
    products = [row["product"] for row in await tx.fetch(query, limit)]
    await tx.execute("DELETE FROM withdrawn_products WHERE product = ANY($1) AND NOT withdrawn", products)
    return products
