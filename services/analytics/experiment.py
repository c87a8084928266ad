"""The results of experiments. It stands alone as the domain does: it knows no message and no driver."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mesh.errors import NotFound

EXPERIMENT_PREFIX: Final = "experiments/"
_DEVIATIONS: Final = 1.959964
"""The standard deviations in which 95% of a normal distribution lie."""


@dataclass(frozen=True, slots=True)
class VariantResult:
    """The counts of one variant of an experiment."""

    variant: str
    exposures: int
    conversions: int

    @property
    def rate(self) -> float:
        """Returns the share of exposures that converted; 0 without any. Clients may report more conversions than
        exposures: that is a rate of 1.
        """
        return min(1.0, self.conversions / self.exposures) if self.exposures else 0.0

    @property
    def rate_interval(self) -> tuple[float, float]:
        """Returns the bounds between which the true rate is, with a confidence of 95%: the score interval of Wilson
        (Probable Inference, 1927), which also holds for small numbers.
        """
        if not self.exposures:
            return 0.0, 1.0
        weight = _DEVIATIONS**2 / self.exposures
        centre = self.rate + weight / 2
        spread = math.sqrt(weight * (self.rate * (1 - self.rate) + weight / 4))
        return max(0.0, (centre - spread) / (1 + weight)), min(1.0, (centre + spread) / (1 + weight))


def results(counts: Mapping[str, tuple[int, int]]) -> list[VariantResult]:
    """Returns the results of variants with these exposures and conversions, by name. Raises NotFound if there is
    none.
    """
    if not counts:
        raise NotFound("Nothing was counted for this experiment.", reason="EXPERIMENT_NOT_FOUND")
    return [VariantResult(variant, *counts[variant]) for variant in sorted(counts)]
