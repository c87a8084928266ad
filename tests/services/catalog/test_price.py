"""Scheduled prices and the times at which they are in force."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound
from mesh.money import Money
from services.catalog.domain.price import PRICES_MAX, Price, Schedule, Terms, uids_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SALE = Money("EUR", 990)


def at(minutes: int) -> datetime:
    """Returns a time in so many minutes."""
    return NOW + timedelta(minutes=minutes)


def price(start: int, end: int | None, now: datetime = NOW) -> Price:
    """Returns a price that is valid between these minutes."""
    return Price.create(uuid4(), UUID(int=1), Terms(SALE, at(start), None if end is None else at(end)), now)


@given(st.lists(st.integers(0, 40), min_size=2, unique=True), st.integers(0, 41), st.booleans())
def test_one_price_is_in_force_and_stays_so_until_the_next_change(bounds: list[int], now: int, endless: bool) -> None:
    """For prices that do not overlap, a search minute by minute finds the same, and the same moment of change."""
    bounds = sorted(bounds)
    ends = list(bounds[1::2])
    spans = [(start, end) for start, end in zip(bounds[::2], ends, strict=False)]
    prices = [price(start, None if endless and end == ends[-1] else end) for start, end in spans]
    schedule = Schedule.of(prices)

    def in_force(minute: int) -> list[Price]:
        return [
            each
            for each, (start, end) in zip(prices, spans, strict=True)
            if start <= minute and (minute < end or each.terms.end is None)
        ]

    found = schedule.in_force(at(now))
    assert ([] if found is None else [found]) == in_force(now)
    edges = sorted(
        {each for span, one in zip(spans, prices, strict=True) for each in span[: 1 + (one.terms.end is not None)]}
    )
    assert schedule.next_change(at(now)) == next((at(edge) for edge in edges if edge > now), None)


def test_terms_are_checked() -> None:
    """An amount is required, and the end comes after the start."""
    for amount, end in ((None, None), (Money("", 1), None), (SALE, NOW), (SALE, at(-1))):
        with pytest.raises(InvalidArgument):
            Terms.checked(amount, NOW, end)
    assert Terms.checked(SALE, NOW, at(1)).end == at(1)


def test_a_price_does_not_start_in_the_past() -> None:
    """A start in the past is rejected, both when a price is created and when it is changed."""
    with pytest.raises(InvalidArgument):
        price(-1, None)
    planned = price(5, 6)
    with pytest.raises(InvalidArgument):
        planned.update(replace(planned.terms, start=at(-1)), "", NOW)


def test_a_price_in_force_can_only_end() -> None:
    """Its amount and start stay; an end in the past is now. After its end it does not change."""
    running = price(0, 10)
    with pytest.raises(FailedPrecondition) as caught:
        running.update(replace(running.terms, amount=Money("EUR", 1)), "", at(5))
    assert caught.value.reason == "PRICE_IN_FORCE"
    with pytest.raises(FailedPrecondition):
        running.check_deletable("", at(5))
    assert running.update(replace(running.terms, end=at(4)), "1", at(5)).terms.end == at(5)
    assert running.update(replace(running.terms, end=None), "", at(5)).terms.contains(at(100))
    with pytest.raises(FailedPrecondition) as caught:
        running.update(replace(running.terms, end=at(20)), "", at(10))
    assert caught.value.reason == "PRICE_ENDED"


@pytest.mark.parametrize(
    ("now", "wanted", "expected"), [(5, 4, 5), (5, -1, 5), (5, 6, 6), (5, None, None), (-1, -2, -2), (10, 1, 1)]
)
def test_an_end_in_the_past_is_now_while_the_price_is_in_force(
    now: int, wanted: int | None, expected: int | None
) -> None:
    """A time to come stays as it is, and so does any time before the price's start or after its end."""
    end_of = price(0, 10, at(-5)).end_of(None if wanted is None else at(wanted), at(now))
    assert end_of == (None if expected is None else at(expected))


def test_a_planned_price_can_change_and_be_deleted() -> None:
    """Unless the etag is stale."""
    planned = price(5, 10)
    changed = planned.update(replace(planned.terms, amount=Money("USD", 1)), planned.etag, NOW)
    assert (changed.terms.amount.currency, changed.version) == ("USD", 2)
    assert planned.update(planned.terms, "", NOW) is planned
    changed.check_deletable("2", NOW)
    for stale in (lambda: changed.check_deletable("1", NOW), lambda: changed.update(planned.terms, "1", NOW)):
        with pytest.raises(Aborted):
            stale()


def test_the_number_of_prices_is_limited() -> None:
    """One fewer than the limit leaves room for one."""
    Schedule.of([price(0, 1)] * (PRICES_MAX - 1)).check_room()
    with pytest.raises(FailedPrecondition):
        Schedule.of([price(0, 1)] * PRICES_MAX).check_room()


@pytest.mark.parametrize("name", ["products/1/prices/1", f"products/{UUID(int=1)}", f"products/{UUID(int=1)}/prices/x"])
def test_an_impossible_name_is_not_found(name: str) -> None:
    """No price can have it."""
    with pytest.raises(NotFound):
        uids_of(name)
