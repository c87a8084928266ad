"""The rules of orders: prices, visibility and transitions between states."""

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
    """A product on sale, as it is in the catalog now."""

    name: str
    title: str
    price: Money


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """A line of an order as the customer requests it."""

    product: str
    quantity: int


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A line of an order, with the title and price that the product had when the order was placed."""

    product: str
    title: str
    quantity: int
    unit_price: Money

    @property
    def amount(self) -> Money:
        """Returns the price of the line."""
        return self.unit_price * self.quantity


class State(enum.Enum):
    """The state of an order."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    SHIPPED = "shipped"


# The allowed transitions between states. The saga belongs here: each transition that events of stock and payment cause
# (confirm, ship, cancel with compensation) becomes an entry here and a method of Order beside cancel(), so that calls
# of customers and events follow the same rule.
_TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.PENDING: frozenset({State.CANCELLED}),
    State.CONFIRMED: frozenset(),
    State.CANCELLED: frozenset(),
    State.SHIPPED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """A person who acts on orders: a customer on their own, staff on all."""

    subject: str
    staff: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """An order. All its lines have the same currency; `version` grows by 1 with every change."""

    uid: UUID
    customer: str
    lines: tuple[OrderLine, ...]
    state: State
    create_time: datetime
    update_time: datetime
    version: int

    @classmethod
    def place(cls, uid: UUID, customer: str, lines: tuple[OrderLine, ...], now: datetime) -> Self:
        """Returns a new order with priced lines."""
        return cls(uid, customer, lines, State.PENDING, create_time=now, update_time=now, version=1)

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.uid}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    @property
    def total(self) -> Money:
        """Returns the total price of all lines."""
        first, *others = (line.amount for line in self.lines)
        return sum(others, start=first)

    def cancel(self, etag: str, now: datetime) -> Self:
        """Returns the cancelled order; itself if it is cancelled already.

        In that case a stale etag is ignored: the call is probably a repetition whose first response was lost. Raises
        Aborted if `etag` is given and stale, FailedPrecondition if the order can no longer be cancelled.
        """
        if self.state is State.CANCELLED:
            return self
        check_etag(etag, self.etag, "The order has changed since it was read. Read it again before you change it.")
        return self._move_to(State.CANCELLED, now)

    def _move_to(self, target: State, now: datetime) -> Self:
        if target not in _TRANSITIONS[self.state]:
            raise FailedPrecondition(
                f"The order is {self.state.value}, so it can't become {target.value}.",
                reason="ORDER_STATE",
                metadata={"state": self.state.name},
            )
        return replace(self, state=target, update_time=now, version=self.version + 1)


def uid_of(name: str) -> UUID:
    """Returns the identifier in an order's name. Raises NotFound if no order can have this name."""
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise _not_found(name)
    return uid


def visible_to(actor: Actor, name: str, order: Order | None) -> Order:
    """Returns the order if this actor may see it. Raises NotFound, with the same message if the order does not exist
    or belongs to somebody else.
    """
    if order is None or not (actor.staff or order.customer == actor.subject):
        raise _not_found(name)
    return order


def price(requested: Sequence[RequestedLine], products: Mapping[str, Product]) -> tuple[OrderLine, ...]:
    """Prices lines with the prices of these products. Raises InvalidArgument with every line that can't be sold."""
    violations = []
    currency = next((products[line.product].price.currency for line in requested if line.product in products), "")
    for index, line in enumerate(requested):
        if problem := _problem(products.get(line.product), currency):
            reason, description = problem
            violations.append(FieldViolation(f"order.lines[{index}].product", description, reason))
    if violations:
        raise InvalidArgument(
            f"{len(violations)} of {len(requested)} lines can't be sold.",
            reason="LINES_REJECTED",
            violations=violations,
        )
    return tuple(
        OrderLine(line.product, products[line.product].title, line.quantity, products[line.product].price)
        for line in requested
    )


def _problem(product: Product | None, currency: str) -> tuple[str, str] | None:
    """Returns the reason and the description of a problem, None if there is none. They are short because an error with
    a hundred of them must fit into the trailers of gRPC.
    """
    if product is None:
        return "NOT_FOUND", "is not on sale"
    if product.price.currency != currency:
        return "CURRENCY", f"is not in {currency}"
    return None


def _not_found(name: str) -> NotFound:
    return NotFound(f"The order {name} does not exist.", reason="ORDER_NOT_FOUND")
