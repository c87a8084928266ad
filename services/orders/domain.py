"""The rules of orders: what they cost, who may see them, and what may become of them."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

from mesh.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound
from mesh.etag import check_etag
from mesh.money import Money
from mesh.resource_name import uid_in

NAME_PREFIX = "orders/"


@dataclass(frozen=True, slots=True)
class Product:
    """A product on sale, as the catalog has it at this moment."""

    name: str
    title: str
    price: Money


@dataclass(frozen=True, slots=True)
class Wanted:
    """A line as the customer asks for it."""

    product: str
    quantity: int


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A line with the title and price that the product had when the order was placed."""

    product: str
    title: str
    quantity: int
    unit_price: Money

    @property
    def amount(self) -> Money:
        """What the line costs."""
        return self.unit_price * self.quantity


class State(enum.Enum):
    """How far an order has come."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    SHIPPED = "shipped"


# The one table of what may become of an order. It is the saga's place: each move that events of stock and payment cause
# (confirming, shipping, cancelling with compensation) becomes an entry here and a method of Order beside cancel(), so
# that the rule stays the same whoever moves the order, a customer's call or an event.
_MOVES: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.CANCELLED}),
    State.CONFIRMED: frozenset(),
    State.CANCELLED: frozenset(),
    State.SHIPPED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts on orders: a customer on their own, staff on anybody's."""

    subject: str
    staff: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """An order. All its lines are in one currency; `version` grows by one with every change."""

    uid: UUID
    customer: str
    lines: tuple[OrderLine, ...]
    state: State
    create_time: datetime
    update_time: datetime
    version: int

    @classmethod
    def place(cls, uid: UUID, customer: str, lines: tuple[OrderLine, ...], now: datetime) -> Self:
        """A new order of priced lines."""
        return cls(uid, customer, lines, State.PENDING, create_time=now, update_time=now, version=1)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"{NAME_PREFIX}{self.uid}"

    @property
    def etag(self) -> str:
        """The identifier of this version."""
        return str(self.version)

    @property
    def total(self) -> Money:
        """What all lines cost together."""
        first, *others = (line.amount for line in self.lines)
        return sum(others, start=first)

    def cancel(self, etag: str, now: datetime) -> Self:
        """The order, cancelled. One that is cancelled already stays as it is.

        That holds under a stale etag, too: it is the same call once more, its first answer lost. Raises Aborted if
        `etag` is given and stale, FailedPrecondition if the order has come too far.
        """
        if self.state is State.CANCELLED:
            return self
        check_etag(etag, self.etag, "The order has changed since it was read. Read it again, then decide.")
        return self._move(State.CANCELLED, now)

    def _move(self, target: State, now: datetime) -> Self:
        if target not in _MOVES[self.state]:
            raise FailedPrecondition(
                f"The order is {self.state.value}: it can't become {target.value}.",
                reason="ORDER_STATE",
                metadata={"state": self.state.name},
            )
        return replace(self, state=target, update_time=now, version=self.version + 1)


def uid_of(name: str) -> UUID:
    """The identifier in an order's name. Raises NotFound if there can be no order of that name."""
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise _not_found(name)
    return uid


def shown_to(actor: Actor, name: str, order: Order | None) -> Order:
    """The order, if this actor may see it. Raises NotFound, for somebody else's the same as if it did not exist."""
    if order is None or not (actor.staff or order.customer == actor.subject):
        raise _not_found(name)
    return order


def price(wanted: Sequence[Wanted], products: Mapping[str, Product]) -> tuple[OrderLine, ...]:
    """The lines at the prices of these products. Raises InvalidArgument that names every line which can't be sold."""
    violations = []
    currency = next((products[line.product].price.currency for line in wanted if line.product in products), "")
    for index, line in enumerate(wanted):
        if problem := _problem(products.get(line.product), currency):
            reason, description = problem
            violations.append(FieldViolation(f"order.lines[{index}].product", description, reason))
    if violations:
        raise InvalidArgument(
            f"{len(violations)} of {len(wanted)} lines can't be sold.", reason="LINES_REJECTED", violations=violations
        )
    return tuple(
        OrderLine(line.product, products[line.product].title, line.quantity, products[line.product].price)
        for line in wanted
    )


def _problem(product: Product | None, currency: str) -> tuple[str, str] | None:
    """Reason and description, short ones: a hundred of them must have room in the trailers of gRPC."""
    if product is None:
        return "NOT_FOUND", "is not on sale"
    if product.price.currency != currency:
        return "CURRENCY", f"is not in {currency}"
    return None


def _not_found(name: str) -> NotFound:
    return NotFound(f"The order {name} does not exist.", reason="ORDER_NOT_FOUND")
