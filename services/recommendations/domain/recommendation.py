"""Recommendations, made of the lists of the model."""

import enum
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from services.recommendations.domain.ranking import Neighbour

PRODUCT_PREFIX: Final = "products/"
RESULTS_DEFAULT: Final = 10
RESULTS_MAX: Final = 50
HISTORY_MAX: Final = 50
"""The products of a customer's history that count, the last ones."""


class Reason(enum.Enum):
    """Why a product is recommended."""

    BOUGHT_TOGETHER = enum.auto()
    BESTSELLER = enum.auto()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A product that is recommended."""

    product: UUID
    reason: Reason
    score: float


def results_count(wanted: int) -> int:
    """Returns the number of recommendations to return; 0 means the default."""
    return min(wanted or RESULTS_DEFAULT, RESULTS_MAX)


def for_product(neighbours: Iterable[Neighbour]) -> list[Recommendation]:
    """Returns the list of a product as recommendations."""
    return [Recommendation(each.product, Reason.BOUGHT_TOGETHER, each.score) for each in neighbours]


def for_history(
    history: Collection[UUID], neighbours: Iterable[Neighbour], bestsellers: Iterable[Neighbour], count: int
) -> list[Recommendation]:
    """Returns recommendations for someone who has bought the products of `history`, whose lists are `neighbours`: what
    is in several lists has the sum of its scores. Bestsellers fill what is left.
    """
    scores: dict[UUID, float] = defaultdict(float)
    for each in neighbours:
        scores[each.product] += each.score
    best = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    together = [Recommendation(product, Reason.BOUGHT_TOGETHER, score) for product, score in best]
    others = [Recommendation(each.product, Reason.BESTSELLER, each.score) for each in bestsellers]
    left_out, found = set(history), []
    for recommendation in (*together, *others):
        if recommendation.product not in left_out:
            left_out.add(recommendation.product)
            found.append(recommendation)
    return found[:count]
