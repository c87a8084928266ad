"""The rules of stock and reservations: what is available, and what becomes of units that an order needs."""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self, TypedDict

from mesh.errors import FailedPrecondition, NotFound
from mesh.etag import check_etag
from mesh.resource_name import uid_in

PRODUCT_PREFIX: Final = "products/"
UNITS_MAX: Final = 1_000_000_000
"""The most units of a product that staff can add up to. Units of cancelled orders come back in any case."""


class _Change(TypedDict):
    """The fields that change with every change of a stock."""

    update_time: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Stock:
    """The stock of a product. The reserved units are among those on hand. `deleted` is true if the product is."""

    product: str
    on_hand: int
    reserved: int
    reorder_level: int
    reorder_quantity: int
    update_time: datetime
    version: int
    deleted: bool = False

    @classmethod
    def empty(cls, product: str, now: datetime) -> Self:
        """Returns the stock of a product of which there were never any units."""
        return cls(product, 0, 0, 0, 0, update_time=now, version=0)

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{self.product}/stock"

    @property
    def available(self) -> int:
        """Returns the number of units that can still be ordered."""
        return self.on_hand - self.reserved

    @property
    def low(self) -> bool:
        """Returns whether the product runs low, which a deleted one never does: nobody reorders it."""
        return not self.deleted and self.available <= self.reorder_level

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    @property
    def proposed(self) -> int:
        """Returns the number of units to reorder: the reorder quantity, as often as it takes to get above the level."""
        if not self.low or not self.reorder_quantity:
            return 0
        times = (self.reorder_level - self.available) // self.reorder_quantity + 1
        return times * self.reorder_quantity

    def adjust(self, delta: int, now: datetime) -> Self:
        """Adds units, or takes some away. Raises FailedPrecondition if more would be taken than are available, or if
        units are added and more would be there than a warehouse holds.
        """
        if self.available + delta < 0:
            raise FailedPrecondition(
                f"Only {self.available} units of {self.product} are available, so {-delta} can't be taken away.",
                reason="STOCK_SHORT",
                metadata={"product": self.product, "available": str(self.available)},
            )
        if delta > 0 and self.on_hand + delta > UNITS_MAX:
            raise FailedPrecondition(
                f"There would be more than {UNITS_MAX} units of {self.product}.",
                reason="STOCK_FULL",
                metadata={"product": self.product, "on_hand": str(self.on_hand)},
            )
        return replace(self, on_hand=self.on_hand + delta, **self._next(now))

    def reorder_at(self, level: int, quantity: int, etag: str, now: datetime) -> Self:
        """Changes when and how much to reorder. Raises Aborted if `etag` is given and stale."""
        check_etag(etag, self.etag, "The stock has changed since it was read. Read it again before you change it.")
        if self.version and (level, quantity) == (self.reorder_level, self.reorder_quantity):
            return self
        return replace(self, reorder_level=level, reorder_quantity=quantity, **self._next(now))

    def reserve(self, quantity: int, now: datetime) -> Self:
        """Reserves units, which must be available."""
        assert quantity <= self.available, "shortages() found none"
        return replace(self, reserved=self.reserved + quantity, **self._next(now))

    def release(self, quantity: int, now: datetime) -> Self:
        """Makes reserved units available again."""
        return replace(self, reserved=self.reserved - quantity, **self._next(now))

    def commit(self, quantity: int, now: datetime) -> Self:
        """Takes reserved units out of the stock."""
        return replace(self, reserved=self.reserved - quantity, on_hand=self.on_hand - quantity, **self._next(now))

    def put_back(self, quantity: int, now: datetime) -> Self:
        """Puts committed units back into the stock, even if it is full: they are there, and the order is cancelled."""
        return replace(self, on_hand=self.on_hand + quantity, **self._next(now))

    def _next(self, now: datetime) -> _Change:
        return {"update_time": now, "version": self.version + 1}


class State(enum.Enum):
    """The state of a reservation."""

    RESERVED = "reserved"
    REJECTED = "rejected"
    COMMITTED = "committed"
    RELEASED = "released"
    RETURNED = "returned"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Reservation:
    """The units of each product that are reserved for an order: of all its products, or of none."""

    order: str
    state: State
    units: Mapping[str, int]
    expire_time: datetime

    def move_to(self, state: State) -> Self:
        """Returns the reservation in another state."""
        return replace(self, state=state)

    @property
    def holds_units(self) -> bool:
        """Returns whether the units are kept from other orders."""
        return self.state is State.RESERVED


@dataclass(frozen=True, slots=True)
class Shortage:
    """A product of which an order needs more units than are available."""

    product: str
    wanted: int
    available: int


def shortages(units: Mapping[str, int], stock: Mapping[str, Stock]) -> tuple[Shortage, ...]:
    """Returns the products of which there are not enough units."""
    available = {product: stock[product].available if product in stock else 0 for product in units}
    return tuple(
        Shortage(product, wanted, available[product])
        for product, wanted in sorted(units.items())
        if wanted > available[product]
    )


def total_units(lines: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Adds up the units of each product."""
    units: dict[str, int] = {}
    for product, quantity in lines:
        units[product] = units.get(product, 0) + quantity
    return units


def product_of(name: str, suffix: str) -> str:
    """Returns the product in a name such as "products/{uid}/stock". Raises NotFound if no product can have that."""
    product = name.removesuffix(suffix)
    if uid_in(product, PRODUCT_PREFIX) is None:
        raise NotFound(f"The product {product} does not exist.", reason="PRODUCT_NOT_FOUND")
    return product
