"""The SQL of products that were deleted or undeleted. Every function runs in its caller's transaction."""

from mesh.database import Connection


async def note(tx: Connection, product: str, *, deleted: bool) -> None:
    """Notes whether a product is deleted, if its stock does not show that, or would not after what is noted already.

    Locks no stock: events of other products may follow in the transaction.
    """
    await tx.execute(
        """
        INSERT INTO product_changes (product, deleted) SELECT $1, $2::boolean
        WHERE EXISTS (SELECT FROM product_changes WHERE product = $1)
            OR $2 <> EXISTS (SELECT FROM stock WHERE product = $1 AND deleted)
        ON CONFLICT (product) DO UPDATE SET deleted = excluded.deleted
        """,
        product,
        deleted,
    )


async def take(tx: Connection) -> tuple[str, bool] | None:
    """Takes a product that was noted. Returns it, and whether it is deleted; None if other workers have locked all."""
    row = await tx.fetchrow(
        """
        DELETE FROM product_changes WHERE product = (
            SELECT product FROM product_changes ORDER BY product LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING product, deleted
        """
    )
    return None if row is None else (row["product"], row["deleted"])
