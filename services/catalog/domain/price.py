"""A scheduled price of a product: one that is valid at a time."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self
from uuid import UUID

from mesh.errors import FailedPrecondition, FieldViolation, NotFound, invalid_fields
from mesh.etag import check_etag
from mesh.money import Money
from mesh.resource_name import uid_in
from services.catalog.domain.product import NAME_PREFIX, uid_of
from services.catalog.domain.text import required

COLLECTION: Final = "/prices/"
PRICES_MAX: Final = 100
"""The most prices of a product that have not ended."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of a price, which staff decides: it is valid from `start` until just before `end`, which is None if it
    has no end yet.
    """

    amount: Money
    start: datetime
    end: datetime | None

    @classmethod
    def checked(cls, amount: Money | None, start: datetime, end: datetime | None) -> Self:
        """Returns the terms if they are complete and valid. Raises InvalidArgument."""
        violations = []
        if amount is None or not amount.currency:
            violations.append(required("price.amount"))
        if end is not None and end <= start:
            violations.append(FieldViolation("price.valid_until", "must be after valid_from", "TIME_INVALID"))
        if violations or amount is None:
            raise invalid_fields(violations)
        return cls(amount, start, end)

    def contains(self, time: datetime) -> bool:
        """Returns whether the price is in force at a time."""
        return self.start <= time and not self.ended(time)

    def ended(self, time: datetime) -> bool:
        """Returns whether the price has ended before or at a time."""
        return self.end is not None and self.end <= time


@dataclass(frozen=True, slots=True)
class Price:
    """A scheduled price of the product `product_uid`. `version` starts at 1 and grows by 1 with every change."""

    uid: UUID
    product_uid: UUID
    terms: Terms
    create_time: datetime
    update_time: datetime
    version: int

    @classmethod
    def create(cls, uid: UUID, product_uid: UUID, terms: Terms, now: datetime) -> Self:
        """Returns a new price. Raises InvalidArgument if it starts in the past."""
        _check_start(terms.start, now)
        return cls(uid, product_uid, terms, create_time=now, update_time=now, version=1)

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.product_uid}{COLLECTION}{self.uid}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    def end_of(self, wanted: datetime | None, now: datetime) -> datetime | None:
        """Returns the end that an update to a wanted one results in: now for a time in the past while the price is in
        force.
        """
        return now if wanted is not None and wanted < now and self.terms.contains(now) else wanted

    def update(self, terms: Terms, etag: str, now: datetime) -> Self:
        """Returns the price with these terms; itself if they are the same. What was in force stays as it was: an end
        in the past is now. Raises FailedPrecondition or InvalidArgument if more would change, Aborted if `etag` is
        given and stale.
        """
        self._check_etag(etag)
        if terms == self.terms:
            return self
        if self.terms.ended(now):
            raise FailedPrecondition("The price has ended, and can't be changed any more.", reason="PRICE_ENDED")
        if self.terms.contains(now):
            if replace(terms, end=self.terms.end) != self.terms:
                raise FailedPrecondition(
                    "The price is in force: only valid_until can be changed.", reason="PRICE_IN_FORCE"
                )
            terms = replace(terms, end=self.end_of(terms.end, now))
        else:
            _check_start(terms.start, now)
        return replace(self, terms=terms, update_time=now, version=self.version + 1)

    def check_deletable(self, etag: str, now: datetime) -> None:
        """Raises FailedPrecondition if the price has been in force, Aborted if `etag` is given and stale."""
        self._check_etag(etag)
        if self.terms.start <= now:
            raise FailedPrecondition(
                "The price was in force, and is kept. To end it, update valid_until.", reason="PRICE_IN_FORCE"
            )

    def _check_etag(self, etag: str) -> None:
        check_etag(etag, self.etag, "The price has changed since it was read. Read it again before you change it.")


@dataclass(frozen=True, slots=True)
class Schedule:
    """The prices of a product that have not ended, in any order. They never overlap."""

    prices: tuple[Price, ...]

    @classmethod
    def of(cls, prices: Iterable[Price]) -> Self:
        """Returns the schedule of these prices."""
        return cls(tuple(prices))

    def in_force(self, now: datetime) -> Price | None:
        """Returns the price that is in force, None if it is the regular one."""
        return next((each for each in self.prices if each.terms.contains(now)), None)

    def next_change(self, now: datetime) -> datetime | None:
        """Returns the next time at which a price begins or ends, None if there is none."""
        times = [time for each in self.prices for time in (each.terms.start, each.terms.end) if time is not None]
        return min((time for time in times if time > now), default=None)

    def check_room(self) -> None:
        """Raises FailedPrecondition if there is no room for one more price."""
        if len(self.prices) >= PRICES_MAX:
            raise FailedPrecondition(
                f"The product has {PRICES_MAX} prices that have not ended.", reason="PRICES_TOO_MANY"
            )


def uids_of(name: str, field: str = "name") -> tuple[UUID, UUID]:
    """Returns the identifiers of the product and the price in a price's name. Raises NotFound if no price can have it,
    InvalidArgument as uid_of() does.
    """
    product, _, price = name.partition(COLLECTION)
    product_uid, uid = uid_of(product, field), uid_in(price, "")
    if uid is None:
        raise _not_found()
    return product_uid, uid


def existing_price(price: Price | None) -> Price:
    """Returns the price. Raises NotFound if there is none."""
    if price is None:
        raise _not_found()
    return price


def overlapping() -> FailedPrecondition:
    """Returns the error of a price that would be valid at the time of another one."""
    return FailedPrecondition(
        "Another price of the product is valid at some of this time. Change its time, or choose another one.",
        reason="PRICES_OVERLAP",
    )


def _check_start(start: datetime, now: datetime) -> None:
    if start < now:
        raise invalid_fields([FieldViolation("price.valid_from", "must not be past", "TIME_INVALID")])


def _not_found() -> NotFound:
    return NotFound("The price does not exist.", reason="PRICE_NOT_FOUND")
