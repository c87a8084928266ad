"""Baskets: the products of a paid order."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID

PRODUCTS_MAX: Final = 30
"""The products of a basket that count. An order of 100 products would have 4950 pairs, and no taste."""

KEPT_FOR: Final = timedelta(days=365)
"""How long baskets count."""


@dataclass(frozen=True, slots=True)
class Basket:
    """The products that were bought together. `customer` is None if the account was deleted."""

    order: UUID
    customer: str | None
    products: tuple[UUID, ...]
    bought_time: datetime

    @classmethod
    def of(cls, order: UUID, customer: str | None, products: Iterable[UUID], bought_time: datetime) -> Self:
        """Returns the basket of an order."""
        return cls(order, customer, tuple(dict.fromkeys(products))[:PRODUCTS_MAX], bought_time)
