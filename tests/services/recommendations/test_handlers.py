"""RecommendationsService over real channels, with a real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from meshwright.recommendations.v1.recommendations_grpc import RecommendationsServiceClient
from meshwright.recommendations.v1.recommendations_pb import (
    Recommendation,
    RecommendForMeRequest,
    RecommendForProductRequest,
    Treatment,
)

from mesh import erased_users
from mesh.database import Database
from mesh.errors import InvalidArgument, PermissionDenied, Unauthenticated
from services.analytics.domain import Interval
from services.recommendations.domain.experiment import CHALLENGER, CONTROL, Experiment
from services.recommendations.handlers import RecommendationsHandlers
from tests.issuer import Issuer
from tests.limited_statements import limit_statements
from tests.services.calls import acting_with, channel_to, serving
from tests.services.outbox import published_names
from tests.services.recommendations.shop import BLADE, NOW, OIL, RAKE, SAW, Shop

EXPERIMENT = Experiment("recommendations.one", 50)
BOUGHT_TOGETHER, BESTSELLER = Recommendation.Reason.BOUGHT_TOGETHER, Recommendation.Reason.BESTSELLER
ADA, BOB = (
    next(user for user in map("users/{}".format, range(99)) if EXPERIMENT.assign(user) is variant)
    for variant in (CONTROL, CHALLENGER)
)
"""Users of either variant."""


@pytest.fixture
async def shop(database: Database) -> Shop:
    """A shop that has sold the oil with everything and a blade with the saw, among others."""
    shop = Shop(database)
    for products in ((SAW, BLADE), (SAW, BLADE), (SAW, OIL), (SAW, OIL), (SAW, OIL), *[(RAKE, OIL)] * 20):
        await shop.buy(*products, customer="users/somebody")
    await shop.learn()
    return shop


@pytest.fixture
def issuer() -> Issuer:
    """The issuer of the tokens of this test."""
    return Issuer()


@pytest.fixture
async def client(shop: Shop, issuer: Issuer) -> AsyncIterator[RecommendationsServiceClient]:
    """A client of the service."""
    service = RecommendationsHandlers(shop.database, EXPERIMENT)
    async with serving(issuer, service) as port, channel_to(port, "recommendations") as channel:
        yield RecommendationsServiceClient(channel)


def about(product: UUID, **fields: Any) -> RecommendForProductRequest:
    """Returns the request for a product."""
    return RecommendForProductRequest(product=f"products/{product}", **fields)


def products(response: Any, reason: Recommendation.Reason = BOUGHT_TOGETHER) -> list[UUID]:
    """Returns the products that are recommended for a reason."""
    return [UUID(each.product.removeprefix("products/")) for each in response.recommendations if each.reason is reason]


async def test_variants_rank_differently(client: RecommendationsServiceClient, issuer: Issuer) -> None:
    """One user sees the most frequent companion first, another one the most specific. Nobody else takes part."""
    for user, expected in ((ADA, [OIL, BLADE]), (BOB, [BLADE, OIL])):
        with acting_with(issuer.token(user, "profile")):
            response = await client.recommend_for_product(about(SAW))
        assert products(response) == expected
        assert response.treatment == Treatment(experiment=EXPERIMENT.name, variant=EXPERIMENT.assign(user).value)
        assert response.model is not None
        assert response.model.version >= 1
    anonymous = await client.recommend_for_product(about(SAW, max_results=1))
    assert (products(anonymous), anonymous.treatment) == ([OIL], None)


async def test_a_product_without_companions_has_an_empty_list(
    client: RecommendationsServiceClient, issuer: Issuer, shop: Shop
) -> None:
    """An empty list is neither an exposure nor an error, for any product name."""
    with acting_with(issuer.token(ADA, "profile")):
        for name in (f"products/{uuid4()}", "products/saw"):
            response = await client.recommend_for_product(RecommendForProductRequest(product=name))
            assert (list(response.recommendations), response.degraded) == ([], False)
            assert response.treatment is not None
    assert await published_names(shop.database) == []


async def test_the_history_of_the_caller_decides(
    client: RecommendationsServiceClient, issuer: Issuer, shop: Shop
) -> None:
    """Products bought together come first, then bestsellers; purchases are left out unless they were cancelled."""
    with acting_with(issuer.token(ADA, "profile")):
        stranger = await client.recommend_for_me(RecommendForMeRequest())
        assert products(stranger, BESTSELLER) == [OIL, RAKE, SAW, BLADE]
        order = await shop.buy(BLADE, customer=ADA)
        await shop.learn()
        response = await client.recommend_for_me(RecommendForMeRequest())
        assert (products(response), products(response, BESTSELLER)) == ([SAW], [OIL, RAKE])
        assert len((await client.recommend_for_me(RecommendForMeRequest(max_results=2))).recommendations) == 2
        await shop.cancel(order)
        assert products(await client.recommend_for_me(RecommendForMeRequest())) == []


async def test_withdrawn_products_are_left_out_at_once(
    client: RecommendationsServiceClient, issuer: Issuer, shop: Shop
) -> None:
    """Before anything is trained again, and until they come back."""
    await shop.withdraw(OIL)
    assert products(await client.recommend_for_product(about(SAW))) == [BLADE]
    with acting_with(issuer.token(ADA, "profile")):
        response = await client.recommend_for_me(RecommendForMeRequest())
    assert products(response, BESTSELLER) == [RAKE, SAW, BLADE]
    await shop.learn()
    await shop.withdraw(OIL, withdrawn=False)
    await shop.learn()
    assert products(await client.recommend_for_product(about(SAW))) == [OIL, BLADE]
    assert await shop.read("SELECT count(*) FROM withdrawn_products") == [(0,)]


async def test_a_variant_that_was_seen_stays(issuer: Issuer, shop: Shop) -> None:
    """Also when the share changes; an experiment of another name is another one."""
    seen = {}
    for share, name in ((50, "one"), (1, "one"), (99, "one"), (1, "two"), (100, "one")):
        service = RecommendationsHandlers(shop.database, Experiment(name, share))
        async with serving(issuer, service) as port, channel_to(port, "recommendations") as channel:
            with acting_with(issuer.token("users/eve", "profile")):
                response = await RecommendationsServiceClient(channel).recommend_for_product(about(SAW))
        seen[share, name] = response.treatment.variant if response.treatment else products(response)
    first = Experiment("one", 50).assign("users/eve").value
    assert [seen[share, "one"] for share in (50, 1, 99)] == [first] * 3
    assert seen[1, "two"] == CONTROL.value
    assert seen[100, "one"] == [BLADE, OIL]


async def test_exposures_and_conversions_are_published_once(
    client: RecommendationsServiceClient, issuer: Issuer, shop: Shop
) -> None:
    """An order that was placed before the exposure, or long after it, converts nobody."""
    with acting_with(issuer.token(ADA, "profile")):
        for _ in range(2):
            await client.recommend_for_product(about(SAW))
    assert await published_names(shop.database) == ["VariantExposed"]
    [(exposed,)] = await shop.read("SELECT expose_time FROM exposures")
    for moment in (-timedelta(seconds=1), timedelta(days=31)):
        await shop.buy(SAW, customer=ADA, time=exposed + moment)
    assert await published_names(shop.database) == ["VariantExposed"]
    for _ in range(2):
        await shop.buy(SAW, customer=ADA, time=exposed + timedelta(days=1))
    assert await published_names(shop.database) == ["VariantExposed", "VariantConverted"]


async def test_a_user_who_comes_back_later_is_not_exposed_again(
    client: RecommendationsServiceClient, issuer: Issuer, shop: Shop
) -> None:
    """The first exposure is remembered for as long as analytics counts it."""
    with acting_with(issuer.token(ADA, "profile")):
        await client.recommend_for_product(about(SAW))
        await shop.buy(SAW, OIL, time=datetime.now(UTC) + Interval.DAY.kept_for)
        await shop.learn(datetime.now(UTC) + Interval.DAY.kept_for)
        assert products(await client.recommend_for_product(about(SAW))) == [OIL]
    assert await published_names(shop.database) == ["VariantExposed"]


async def test_a_deleted_user_is_forgotten(client: RecommendationsServiceClient, issuer: Issuer, shop: Shop) -> None:
    """Baskets still count but are nobody's, also one that arrives later. Nothing about the user is published again."""
    await shop.buy(SAW, OIL, customer=ADA)
    with acting_with(issuer.token(ADA, "profile")):
        await client.recommend_for_me(RecommendForMeRequest())
        await shop.delete_user(ADA)
        await shop.buy(SAW, BLADE, customer=ADA, time=NOW + timedelta(days=1))
        assert products(await client.recommend_for_me(RecommendForMeRequest())) == []
    assert await shop.read(f"SELECT count(*) FROM baskets WHERE customer = '{ADA}'") == [(0,)]
    assert await shop.read("SELECT count(*) FROM baskets WHERE customer IS NULL") == [(2,)]
    assert await shop.read("SELECT count(*) FROM exposures") == [(0,)]
    assert await published_names(shop.database) == ["VariantExposed"]


async def test_a_customer_of_many_orders_is_forgotten_in_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement removes the name from more baskets than its time limit allows, and all are nobody's."""
    monkeypatch.setattr(erased_users, "ERASED_PER_STATEMENT_MAX", 2)
    shop = Shop(database)
    for _ in range(5):
        await shop.buy(SAW, customer=ADA)
    await limit_statements(database, "baskets", 2)
    await shop.delete_user(ADA)
    assert await shop.read("SELECT count(*) FROM baskets WHERE customer IS NULL") == [(5,)]


async def test_an_order_without_a_customer_counts(shop: Shop) -> None:
    """The customer's account was deleted before it was paid."""
    await shop.buy(SAW, RAKE, customer="")
    await shop.learn()
    query = f"SELECT baskets FROM pair_counts WHERE product = '{SAW}' AND other = '{RAKE}'"
    assert await shop.read(query) == [(1,)]


async def test_wrong_requests_are_rejected(client: RecommendationsServiceClient, issuer: Issuer) -> None:
    """A negative number of results, a name that is no product's, no token, and a token without the scope."""
    for request in (about(SAW, max_results=-1), RecommendForProductRequest(product="orders/7")):
        with pytest.raises(InvalidArgument):
            await client.recommend_for_product(request)
    with pytest.raises(Unauthenticated):
        await client.recommend_for_me(RecommendForMeRequest())
    with acting_with(issuer.token(ADA, "orders.read")), pytest.raises(PermissionDenied):
        await client.recommend_for_me(RecommendForMeRequest())
