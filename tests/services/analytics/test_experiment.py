"""The results of experiments."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analytics.experiment import VariantResult, results


@pytest.mark.parametrize(
    ("exposures", "conversions", "low", "high"),
    [(10, 0, 0.0, 0.2775), (100, 50, 0.4038, 0.5962), (1000, 20, 0.0130, 0.0307), (10, 10, 0.7225, 1.0)],
)
def test_rates_have_the_interval_of_wilson(exposures: int, conversions: int, low: float, high: float) -> None:
    """The bounds are those of published tables for 95%."""
    result = VariantResult("cosine", exposures, conversions)
    assert result.rate == conversions / exposures
    assert list(result.rate_interval) == pytest.approx([low, high], abs=1e-4)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_an_interval_contains_its_rate(exposures: int, conversions: int) -> None:
    """The rate is within its bounds for all counts, even for more conversions than exposures."""
    result = VariantResult("cosine", exposures, conversions)
    low, high = result.rate_interval
    assert 0 <= low <= result.rate + 1e-9
    assert result.rate - 1e-9 <= high <= 1
    assert not math.isnan(result.rate)


def test_variants_without_conversions_are_results() -> None:
    """Variants without conversions or exposures are results too, in the order of their names."""
    assert results({"b": (2, 1), "a": (1, 0), "c": (0, 3)}) == [
        VariantResult("a", 1, 0),
        VariantResult("b", 2, 1),
        VariantResult("c", 0, 3),
    ]
