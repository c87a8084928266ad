"""The data of the demo."""

import re
from collections import Counter
from itertools import combinations

from demo.customers import QUANTITIES, customers
from demo.products import products


def test_the_shop_is_always_the_same() -> None:
    """Two runs create the same data, so that their request ids are the same and the second run adds nothing."""
    assert products() == products()
    assert customers(300) == customers(300)


def test_the_products_are_a_believable_range() -> None:
    """There are some hundred products with unique titles, in several categories, at positive prices in whole cents."""
    goods = products()
    assert len({product.title for product in goods}) == len(goods) >= 300
    assert len({product.category for product in goods}) == 10
    for product in goods:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", product.category)
        assert product.price > 1
        assert product.price * 100 == int(product.price * 100)


def test_the_orders_fit_the_contract() -> None:
    """Each customer has an address of their own, and orders products that exist, each once, in allowed quantities."""
    people = customers(300)
    assert len({person.email for person in people}) == len(people)
    orders = [order for person in people for order in person.orders]
    assert 0 < sum(order.cancelled for order in orders) < len(orders) / 2
    for order in orders:
        assert order.quantities.keys() <= set(range(300))
        assert order.quantities
        assert set(order.quantities.values()) <= set(QUANTITIES)


def test_some_products_are_bought_together_again_and_again() -> None:
    """There is something to recommend: pairs of one department that several orders hold."""
    goods = products()
    orders = [order.quantities for person in customers(len(goods)) for order in person.orders]
    pairs = Counter(pair for order in orders for pair in combinations(sorted(order), 2))
    repeated = [pair for pair, count in pairs.items() if count > 1]
    assert len(repeated) > 10
    related = [goods[one].category == goods[other].category for one, other in repeated]
    assert sum(related) > 0.9 * len(related)
