"""Money: what orders sold is what payments took, what the provider took, and what the ledger says."""

from collections import Counter
from itertools import groupby
from typing import Final, TypeAlias

import asyncpg

from demo.databases import Databases, count
from demo.finding import Finding

Amounts: TypeAlias = Counter[tuple[str, str]]
"""Hundredths by currency and order."""

_SOLD: Final = """
SELECT min(currency), 'orders/' || uid, sum(quantity * unit_price_hundredths) - coalesce(min(refunded_hundredths), 0)
FROM orders JOIN order_lines ON order_uid = uid WHERE state IN ('confirmed', 'shipped') GROUP BY uid
"""
_TAKEN: Final = "SELECT currency, order_name, captured_hundredths - refunded_hundredths FROM payments"
# The key of a charge is the uid of its payment.
_CHARGED: Final = """
SELECT charge.currency, coalesce(order_name, 'charge ' || key),
    charge.amount_hundredths - charge.refunded_hundredths
FROM sandbox_charges AS charge LEFT JOIN payments ON key = uid WHERE charge.state = 'captured'
"""


async def check_money(databases: Databases) -> Finding:
    """Compares what payments and the provider have taken for each order with what it sold."""
    finding = Finding("Money captured - refunded = the orders that are confirmed or shipped, each of them.")
    sold = await _amounts(databases["orders"], _SOLD)
    taken = await _amounts(databases["payments"], _TAKEN)
    charged = await _amounts(databases["payments"], _CHARGED)
    keys = sorted({*sold, *taken, *charged})
    for currency, of_currency in groupby(keys, key=lambda key: key[0]):
        sums = [0, 0, 0]
        for key in of_currency:
            amounts = (sold[key], taken[key], charged[key])
            sums = [total + amount for total, amount in zip(sums, amounts, strict=True)]
            if len(set(amounts)) > 1:
                words = ("the order", "payments", "the provider")
                parts = (f"{word} {amount / 100:.2f}" for word, amount in zip(words, amounts, strict=True))
                finding.broken.append(f"{key[1]} in {currency}: {', '.join(parts)}")
        finding.figures[currency] = " = ".join(f"{total / 100:.2f}" for total in sums)
    return finding


async def _amounts(database: "asyncpg.Connection[asyncpg.Record]", query: str) -> Amounts:
    return Counter({(row[0], row[1]): int(row[2]) for row in await database.fetch(query)})


async def check_ledger(databases: Databases) -> Finding:
    """Adds up the ledger, as a whole, by posting, and by payment."""
    finding = Finding("The ledger balances to zero, and says what the payments say.")
    payments = databases["payments"]
    finding.figures["entries"] = await count(payments, "ledger_entries")
    for row in await payments.fetch(
        "SELECT posting, sum(hundredths) FROM ledger_entries GROUP BY posting HAVING sum(hundredths) <> 0"
    ):
        finding.broken.append(f"posting {row['posting']} adds up to {row['sum']}")
    for row in await payments.fetch(
        """
        SELECT uid, captured_hundredths AS captured, refunded_hundredths AS refunded,
            coalesce(sum(-hundredths) FILTER (WHERE account = 'sales'), 0) AS sales,
            coalesce(sum(hundredths) FILTER (WHERE account = 'refunds'), 0) AS refunds
        FROM payments LEFT JOIN ledger_entries ON payment_uid = uid GROUP BY uid
        """
    ):
        if (row["captured"], row["refunded"]) != (row["sales"], row["refunds"]):
            finding.broken.append(f"payments/{row['uid']}: {dict(row)}")
    return finding
