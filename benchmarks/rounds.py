"""The statistics of rounds: medians, spread, percentiles, and ratios within a round."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, with the least and the greatest."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Returns the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    @classmethod
    def of_ratios(cls, values: Sequence[float], others: Sequence[float]) -> Self:
        """Returns the spread of the ratios of values to others, each of the same round."""
        return cls.of([value / other for value, other in zip(values, others, strict=True)])

    def text(self, decimals: int) -> str:
        """Returns it as text: 1.9 (1.8 to 2.2)."""
        return f"{self.median:.{decimals}f} ({self.least:.{decimals}f} to {self.most:.{decimals}f})"


def percentile(values: Sequence[float], share: float) -> float:
    """Returns the least value that this share of the values does not exceed."""
    return sorted(values)[max(math.ceil(len(values) * share), 1) - 1]
