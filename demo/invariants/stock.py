"""Stock: what is on hand and reserved is what adjustments and reservations say."""

from demo.databases import Databases
from demo.finding import Finding


async def check_stock(databases: Databases) -> Finding:
    """Recomputes the stock of each product from its adjustments and reservations."""
    finding = Finding("Stock on hand = adjustments - committed, reserved = what is reserved, and nothing is oversold.")
    rows = await databases["inventory"].fetch(
        """
        WITH units AS (
            SELECT product, sum(quantity) FILTER (WHERE state = 'committed') AS committed,
                sum(quantity) FILTER (WHERE state = 'reserved') AS reserved
            FROM reserved_units JOIN reservations USING (order_name) GROUP BY product
        ), added AS (SELECT product, sum(delta) AS units FROM adjustments GROUP BY product)
        SELECT product, on_hand, stock.reserved, coalesce(added.units, 0)::bigint AS adjusted,
            coalesce(units.committed, 0)::bigint AS committed, coalesce(units.reserved, 0)::bigint AS expected_reserved
        FROM stock LEFT JOIN added USING (product) LEFT JOIN units USING (product)
        """
    )
    finding.figures["products"] = len(rows)
    for name in ("on_hand", "adjusted", "committed", "reserved"):
        finding.figures[name.replace("_", " ")] = sum(row[name] for row in rows)
    for row in rows:
        right = row["on_hand"] == row["adjusted"] - row["committed"] and row["reserved"] == row["expected_reserved"]
        if not (right and 0 <= row["reserved"] <= row["on_hand"]):
            finding.broken.append(str(dict(row)))
    return finding
