"""The rules of recommendations: features, rankings, the experiment."""

import math
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recommendations.domain.basket import PRODUCTS_MAX, Basket
from services.recommendations.domain.experiment import CHALLENGER, CONTROL, Experiment
from services.recommendations.domain.features import Features
from services.recommendations.domain.ranking import NEIGHBOURS_MAX, Companion, Neighbour, Ranking, rank
from services.recommendations.domain.recommendation import Reason, for_history, results_count

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PRODUCTS = [UUID(int=number) for number in range(1, 7)]
SAW, OIL, BLADE, RAKE, *_ = PRODUCTS

baskets = st.lists(st.lists(st.sampled_from(PRODUCTS), max_size=6).map(lambda products: basket(*products)), max_size=8)


def basket(*products: UUID) -> Basket:
    """Returns the basket of these products."""
    return Basket.of(UUID(int=7), "users/ada", products, NOW)


def test_a_product_counts_once_in_a_basket_and_large_baskets_are_cut() -> None:
    """However many lines name it; the first products of an order are kept."""
    many = [UUID(int=number) for number in range(100)]
    assert basket(SAW, OIL, SAW).products == (SAW, OIL)
    assert basket(*many).products == tuple(many[:PRODUCTS_MAX])


@given(baskets, baskets)
def test_features_are_counts_of_baskets(added: list[Basket], removed: list[Basket]) -> None:
    """Each number is that of baskets which hold the product, or both products of the pair, added less removed."""
    change = Features.change(added, removed)

    def expected(*wanted: UUID) -> int:
        return sum(set(wanted) <= set(each.products) for each in added) - sum(
            set(wanted) <= set(each.products) for each in removed
        )

    pairs = {(one, other): expected(one, other) for one in PRODUCTS for other in PRODUCTS if one != other}
    assert change.products == Counter({each: count for each in PRODUCTS if (count := expected(each))})
    assert change.pairs == Counter({pair: count for pair, count in pairs.items() if count})


@given(baskets)
def test_what_is_added_and_removed_leaves_nothing(some: list[Basket]) -> None:
    """The change is empty, zeros are not part of it."""
    change = Features.change(some, reversed(some))
    assert (len(change.products), len(change.pairs)) == (0, 0)


def test_a_ranking_discounts_bestsellers_and_the_other_does_not() -> None:
    """Of two companions, one is more often there, the other is seldom there without the product."""
    bestseller, specific = Companion(OIL, together=3, baskets=100), Companion(BLADE, together=2, baskets=2)
    frequent = rank(Ranking.FREQUENT, 4, [specific, bestseller])
    assert frequent == [Neighbour(OIL, 0.75), Neighbour(BLADE, 0.5)]
    cosine = rank(Ranking.COSINE, 4, [bestseller, specific])
    assert [each.product for each in cosine] == [BLADE, OIL]
    assert cosine[0].score == pytest.approx(2 / math.sqrt(8))


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 9)).map(lambda counts: (counts[0], sum(counts))),
        max_size=2 * NEIGHBOURS_MAX,
    ),
    st.sampled_from(Ranking),
)
def test_lists_hold_the_best_companions_in_order(counts: list[tuple[int, int]], ranking: Ranking) -> None:
    """No omitted product has a higher score than a listed one; ties are ordered by name; scores are shares."""
    companions = [Companion(UUID(int=number), *count) for number, count in enumerate(counts)]
    ranked = rank(ranking, 9, reversed(companions))
    keys = [(-each.score, each.product) for each in ranked]
    everything = sorted((-each.score(ranking, 9), each.product) for each in companions)
    assert keys == everything[:NEIGHBOURS_MAX]
    assert all(0 < each.score <= 1 for each in ranked)


def test_a_history_adds_up_scores_and_is_left_out() -> None:
    """Products that go with two purchases rank above those that go with one; bestsellers come last, each once."""
    neighbours = [Neighbour(BLADE, 0.5), Neighbour(OIL, 0.3), Neighbour(OIL, 0.3), Neighbour(SAW, 0.9)]
    bestsellers = [Neighbour(SAW, 9), Neighbour(BLADE, 8), Neighbour(RAKE, 7)]
    found = for_history([SAW], neighbours, bestsellers, 10)
    assert [(each.product, each.reason) for each in found] == [
        (OIL, Reason.BOUGHT_TOGETHER),
        (BLADE, Reason.BOUGHT_TOGETHER),
        (RAKE, Reason.BESTSELLER),
    ]
    assert for_history([SAW], neighbours, bestsellers, 1) == found[:1]


def test_the_number_of_results_has_a_default_and_a_limit() -> None:
    """0 stands for 10, and more than 50 for 50."""
    assert [results_count(wanted) for wanted in (0, 1, 50, 51)] == [10, 1, 50, 50]


@given(st.text(), st.text(), st.integers(1, 98))
def test_an_assignment_is_stable_and_a_greater_share_only_adds(name: str, user: str, share: int) -> None:
    """Whoever gets the challenger keeps it when more users do."""
    assigned, later = Experiment(name, share).assign(user), Experiment(name, share + 1).assign(user)
    assert Experiment(name, share).assign(user) is assigned
    assert assigned is CONTROL or later is CHALLENGER


def test_shares_are_what_they_say_and_experiments_are_independent() -> None:
    """Of 10,000 users 30% get the challenger, and of those 30% in another experiment, too."""
    users = [f"users/{number}" for number in range(10_000)]
    first = [user for user in users if Experiment("one", 30).assign(user) is CHALLENGER]
    both = [user for user in first if Experiment("two", 30).assign(user) is CHALLENGER]
    assert len(first) == pytest.approx(3000, abs=200)
    assert len(both) == pytest.approx(900, abs=120)


@pytest.mark.parametrize(("share", "ranking"), [(0, CONTROL), (100, CHALLENGER)])
def test_without_an_experiment_all_have_the_same_ranking(share: int, ranking: Ranking) -> None:
    """At the ends there is nothing to compare."""
    experiment = Experiment("one", share)
    assert (experiment.is_running, experiment.default) == (False, ranking)
    assert {experiment.assign(f"users/{number}") for number in range(100)} == {ranking}
