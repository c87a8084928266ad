"""The features that the model learns from: in how many baskets each product is, and each pair of products."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import permutations
from typing import Self, TypeVar
from uuid import UUID

from services.recommendations.domain.basket import Basket

Pair = tuple[UUID, UUID]
Key = TypeVar("Key")


@dataclass(slots=True)
class Features:
    """Numbers of baskets, or changes of them. Each pair is counted in both directions."""

    products: Counter[UUID] = field(default_factory=Counter)
    pairs: Counter[Pair] = field(default_factory=Counter)

    @classmethod
    def change(cls, added: Iterable[Basket], removed: Iterable[Basket]) -> Self:
        """Returns the change of the features by baskets that are added and removed. Nothing in it is zero."""
        features = cls()
        for basket in added:
            features._count(basket, 1)
        for basket in removed:
            features._count(basket, -1)
        return cls(_without_zeros(features.products), _without_zeros(features.pairs))

    def _count(self, basket: Basket, by: int) -> None:
        for product in basket.products:
            self.products[product] += by
        for pair in permutations(basket.products, 2):
            self.pairs[pair] += by


def _without_zeros(counter: Counter[Key]) -> Counter[Key]:
    return Counter({key: count for key, count in counter.items() if count})


def products_of(baskets: Iterable[Basket]) -> Iterator[UUID]:
    """Yields the products of baskets."""
    for basket in baskets:
        yield from basket.products
