"""Rankings: how strongly a product is recommended to those who buy another one."""

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

NEIGHBOURS_MAX: Final = 50
"""The length of the list of a product."""


class Ranking(enum.StrEnum):
    """A ranking. The scores are from 0 to 1."""

    FREQUENT = "frequent"
    """By the share of the product's baskets that hold the other one: bestsellers are in front everywhere."""

    COSINE = "cosine"
    """By the cosine of the two products as vectors of baskets: bestsellers only where they belong."""


@dataclass(frozen=True, slots=True)
class Companion:
    """A product that was in the same basket as another one: in how many, and in how many with or without it."""

    product: UUID
    together: int
    baskets: int

    def score(self, ranking: Ranking, baskets: int) -> float:
        """Returns the score for those who buy the other product, which is in so many baskets."""
        match ranking:
            case Ranking.FREQUENT:
                return self.together / baskets
            case Ranking.COSINE:
                return self.together / math.sqrt(baskets * self.baskets)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A product in the list of another one."""

    product: UUID
    score: float


def rank(ranking: Ranking, baskets: int, companions: Iterable[Companion]) -> list[Neighbour]:
    """Returns the list of a product that is in so many baskets: its best companions, the best one first."""
    scored = [Neighbour(each.product, each.score(ranking, baskets)) for each in companions]
    return sorted(scored, key=lambda each: (-each.score, each.product))[:NEIGHBOURS_MAX]
