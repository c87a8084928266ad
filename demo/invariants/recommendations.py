"""Recommendations: the baskets that they were learned from."""

from collections import Counter
from itertools import permutations

from demo.databases import Databases
from demo.finding import Finding


async def check_recommendations(databases: Databases) -> Finding:
    """Compares what recommendations has learned from with the orders, and recounts it."""
    finding = Finding("Recommendations are learned from each order that is confirmed or shipped, once.")
    database = databases["recommendations"]
    sold = await databases["orders"].fetch(
        "SELECT uid FROM orders WHERE state IN ('confirmed', 'shipped') AND create_time > now() - interval '364 days'"
    )
    baskets = await database.fetch("SELECT order_uid AS uid, products FROM baskets WHERE state = 'counted'")
    recent = await database.fetch(
        "SELECT order_uid AS uid FROM baskets WHERE bought_time > now() - interval '364 days'"
    )
    differing = {row["uid"] for row in sold} ^ {row["uid"] for row in recent}
    finding.broken += [f"orders/{uid} is sold or a basket, not both" for uid in sorted(differing)]
    products = Counter(product for row in baskets for product in row["products"])
    pairs = Counter(pair for row in baskets for pair in permutations(row["products"], 2))
    counts = await database.fetch("SELECT product, baskets FROM product_counts")
    pair_counts = await database.fetch("SELECT product, other, baskets FROM pair_counts")
    if {row["product"]: row["baskets"] for row in counts} != products:
        finding.broken.append(f"the counts of products are not those of {len(baskets)} baskets")
    if {(row["product"], row["other"]): row["baskets"] for row in pair_counts} != pairs:
        finding.broken.append(f"the counts of pairs are not those of {len(baskets)} baskets")
    version = await database.fetchval("SELECT coalesce(max(version), 0) FROM models")
    finding.figures |= {"orders": len(sold), "baskets": len(baskets), "pairs": len(pairs), "version": version}
    return finding
