"""The stages of training on a real PostgreSQL."""

import asyncio
from datetime import timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mesh.database import Database, try_lock_relation
from services.recommendations import basket_storage, feature_preparation, feature_storage, model_storage, training
from services.recommendations.domain.basket import KEPT_FOR
from services.recommendations.domain.ranking import Companion, Ranking, rank
from services.recommendations.training_worker import TrainingWorker
from tests.limited_statements import limit_statements
from tests.services.recommendations.shop import BLADE, NOW, OIL, RAKE, SAW, Shop

LISTS = "SELECT product, ranking, position, other, score FROM neighbours ORDER BY 1, 2, 3"
TABLES = "baskets, product_counts, pair_counts, withdrawn_products, stale_products, neighbours"
COUNTS = "SELECT product, baskets FROM product_counts ORDER BY 1"


@pytest.fixture
def shop(database: Database, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """A shop in which nothing was sold. It learns in small steps."""
    monkeypatch.setattr(feature_preparation, "BASKETS_PER_STEP", 3)
    monkeypatch.setattr(feature_storage, "PAIRS_PER_STATEMENT_MAX", 5)
    monkeypatch.setattr(feature_storage, "PRODUCTS_PER_STATEMENT_MAX", 2)
    monkeypatch.setattr(training, "PRODUCTS_PER_STEP", 2)
    return Shop(database)


def trained(baskets: list[set[UUID]], withdrawn: set[UUID]) -> list[tuple[object, ...]]:
    """Returns the lists of a model that is trained from nothing."""
    products = sorted(set().union(*baskets))
    counts = {each: sum(each in basket for basket in baskets) for each in products}
    lists: list[tuple[object, ...]] = []
    for product in products:
        companions = [
            Companion(other, together, counts[other])
            for other in products
            if other not in withdrawn | {product}
            and (together := sum({product, other} <= basket for basket in baskets))
        ]
        for ranking in sorted(Ranking):
            ranked = rank(ranking, counts[product], companions)
            lists += [(product, ranking, at, each.product, each.score) for at, each in enumerate(ranked)]
    return lists


products = st.sampled_from([UUID(int=number) for number in range(1, 9)])
actions = st.lists(
    st.one_of(
        st.tuples(st.just("buy"), st.sets(products, min_size=1, max_size=4)),
        st.tuples(st.just("cancel"), st.integers(0, 100)),
        st.tuples(st.just("withdraw or bring back"), products),
        st.tuples(st.just("learn"), st.none()),
    ),
    min_size=5,
    max_size=50,
)


@given(actions)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_incremental_training_is_training_from_nothing(shop: Shop, actions: list[tuple[str, Any]]) -> None:
    """Incremental training after any sequence of purchases and cancellations has the result of a full training."""
    async with shop.database.transaction() as tx:
        await tx.execute(f"TRUNCATE {TABLES}")
    orders: dict[UUID, set[UUID]] = {}
    withdrawn: set[UUID] = set()
    for action, argument in actions:
        match action:
            case "buy":
                orders[await shop.buy(*argument)] = argument
            case "cancel" if orders:
                order = list(orders)[argument % len(orders)]
                await shop.cancel(order)
                del orders[order]
            case "withdraw or bring back":
                withdrawn ^= {argument}
                await shop.withdraw(argument, withdrawn=argument in withdrawn)
            case "learn":
                await shop.training.learn(NOW)
    await shop.learn()
    assert await shop.read(LISTS) == trained(list(orders.values()), withdrawn)
    assert await shop.read("SELECT product FROM withdrawn_products ORDER BY 1") == [
        (each,) for each in sorted(withdrawn)
    ]


async def test_only_what_changed_is_trained_again(shop: Shop) -> None:
    """A version for each training; lists of other products stay as they are."""
    await shop.buy(SAW, OIL)
    await shop.buy(BLADE, RAKE)
    await shop.learn()
    rows = "SELECT ctid::text FROM neighbours WHERE product = $$%s$$"
    saws, rakes = await shop.read(rows % SAW), await shop.read(rows % RAKE)
    await shop.buy(SAW)
    await shop.learn()
    assert await shop.read(rows % SAW) != saws
    assert await shop.read(rows % RAKE) == rakes
    assert await shop.read("SELECT version, lists FROM models ORDER BY 1") == [(1, 2), (2, 2), (3, 2)]


async def test_old_baskets_no_longer_count(shop: Shop) -> None:
    """After a year they are deleted, and their counts with them."""
    await shop.buy(SAW, OIL, time=NOW - KEPT_FOR)
    await shop.buy(SAW, BLADE)
    await shop.learn()
    assert await shop.read(COUNTS) == [(SAW, 2), (OIL, 1), (BLADE, 1)]
    await shop.learn(NOW + timedelta(seconds=1))
    assert await shop.read(COUNTS) == [(SAW, 1), (BLADE, 1)]
    assert [row[3] for row in await shop.read(LISTS) if row[0] == SAW] == [BLADE, BLADE]
    assert await shop.read("SELECT count(*) FROM baskets") == [(1,)]


async def test_large_baskets_are_counted_in_parts(shop: Shop) -> None:
    """No statement changes so many pairs that its time limit ends the step, at each try."""
    await limit_statements(shop.database, "pair_counts", 5)
    orders = [await shop.buy(*(UUID(int=number) for number in range(1, 9))) for _ in range(3)]
    await shop.learn()
    assert await shop.read("SELECT DISTINCT baskets FROM pair_counts") == [(3,)]
    for order in orders:
        await shop.cancel(order)
        await shop.learn()
    assert await shop.read("SELECT count(*) FROM pair_counts") == [(0,)]
    assert await shop.read(COUNTS) == []


async def test_a_step_counts_a_limited_number_of_baskets(shop: Shop) -> None:
    """New, withdrawn and old ones together: each may have hundreds of pairs."""
    withdrawn = [await shop.buy(SAW, OIL) for _ in range(2)]
    await shop.buy(SAW, BLADE, time=NOW - timedelta(days=1))
    await shop.buy(SAW, RAKE, time=NOW - timedelta(days=1))
    await shop.learn()
    for order in withdrawn:
        await shop.cancel(order)
    await shop.buy(SAW)
    before = await shop.read("SELECT count(*) FROM baskets WHERE state = 'counted'")
    await shop.training.learn(NOW + KEPT_FOR)
    assert (before, await shop.read("SELECT count(*) FROM baskets")) == ([(2,)], [(3,)])
    await shop.learn(NOW + KEPT_FOR)
    assert await shop.read(COUNTS) == [(SAW, 1)]


async def test_one_replica_learns_at_a_time(shop: Shop) -> None:
    """A second replica does nothing while the lock is held, and continues when it is free."""
    await shop.buy(SAW, OIL)
    other = TrainingWorker(shop.database)
    async with shop.database.transaction() as tx:
        assert await try_lock_relation(tx, "stale_products")
        assert not await other.learn(NOW)
    assert await other.learn(NOW)
    assert await shop.read(COUNTS) == [(SAW, 1), (OIL, 1)]


async def test_two_replicas_count_each_basket_once(shop: Shop) -> None:
    """Both learn as fast as they can while orders arrive."""
    async with TrainingWorker(shop.database), TrainingWorker(shop.database):
        for pair in combinations((SAW, OIL, BLADE, RAKE), 2):
            await shop.buy(*pair)
    await shop.learn()  # completes the work that they had begun
    assert {count for _, count in await shop.read(COUNTS)} == {3}
    lists = await shop.read(LISTS)
    assert {(row[1], round(row[4], 9)) for row in lists} == {("frequent", round(1 / 3, 9)), ("cosine", round(1 / 3, 9))}


async def test_versions_are_kept_up_to_a_limit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest ones, so that the table does not grow for ever."""
    monkeypatch.setattr(model_storage, "VERSIONS_KEPT", 2)
    for _ in range(4):
        await shop.buy(SAW, OIL)
        await shop.learn()
    assert await shop.read("SELECT version FROM models ORDER BY 1") == [(3,), (4,)]


async def test_an_order_is_cancelled_while_its_basket_is_counted(shop: Shop, database: Database) -> None:
    """The cancellation waits for the count, and takes the basket out again."""
    order = await shop.buy(SAW, BLADE)
    async with database.transaction() as tx:
        await basket_storage.take_new(tx, 10)
        cancelling = asyncio.create_task(shop.cancel(order))
        while not await tx.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
    await cancelling
    assert await shop.read("SELECT state FROM baskets") == [("withdrawn",)]
