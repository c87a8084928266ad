"""What the demo puts into the shop."""

import re

from demo.customers import QUANTITIES, customers
from demo.products import products


def test_the_shop_is_always_the_same() -> None:
    """Two runs make the same things, so that their request ids are the same, and the second adds nothing."""
    assert products() == products()
    assert customers(300) == customers(300)


def test_the_products_are_a_believable_range() -> None:
    """Some hundred products whose titles differ, in several categories, at prices in whole cents and never nothing."""
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
