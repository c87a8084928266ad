"""Orders against models of inventory and payments, whose events arrive late, more than once, and mixed in any order."""

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mesh.errors import FailedPrecondition
from mesh.money import Money
from services.orders.domain import Actor, CancelReason, Order, OrderLine, PendingStep, Shipment, State

PRICE = 1999
Transition = Callable[[Order, datetime], Order]


class Reserved(enum.Enum):
    """The state of a reservation."""

    NONE = enum.auto()
    RESERVED = enum.auto()
    REJECTED = enum.auto()
    EXPIRED = enum.auto()
    COMMITTED = enum.auto()
    RELEASED = enum.auto()


@dataclass
class Source:
    """A service: the news of the order that it has yet to handle, and the events that it has published. Both are
    handled in their order, but an event that was delivered may be delivered again at any time.
    """

    news: list[str] = field(default_factory=list)
    events: list[Transition] = field(default_factory=list)
    delivered: list[Transition] = field(default_factory=list)


@dataclass
class Inventory(Source):
    """The model of inventory."""

    state: Reserved = Reserved.NONE
    in_stock: bool = True

    def handle(self) -> None:
        """Handles the next news."""
        match self.news.pop(0), self.state:
            case "placed", _:
                self.reserve()
            case "confirmed", Reserved.RESERVED:
                self.state = Reserved.COMMITTED
            case "confirmed", Reserved.EXPIRED if self.in_stock:
                self.state = Reserved.COMMITTED
            case "confirmed", Reserved.EXPIRED:
                self.events.append(Order.reject_stock)
            case "cancelled", _:
                self.state = Reserved.RELEASED

    def reserve(self) -> None:
        """Reserves, unless that was tried before."""
        if self.state is Reserved.NONE:
            self.state = Reserved.RESERVED if self.in_stock else Reserved.REJECTED
            self.events.append(Order.reserve_stock if self.in_stock else Order.reject_stock)

    def expire(self) -> None:
        """Ends a reservation."""
        if self.state is Reserved.RESERVED:
            self.state = Reserved.EXPIRED
            self.events.append(Order.expire_stock)


@dataclass
class Payments(Source):
    """The model of payments."""

    asked: bool = False
    held: bool = False
    ended: bool = False
    captured: int = 0
    refunded: int = 0

    def handle(self) -> None:
        """Handles the next news."""
        match self.news.pop(0):
            case "requested":
                self.asked = True
            case "cancelled":
                self.ended = True
                self.refund(self.captured - self.refunded)

    def hold(self) -> None:
        """Flags the payment."""
        if self.open and not self.held:
            self.held = True
            self.events.append(lambda order, now: order.hold_payment("payments/1", now))

    def capture(self) -> None:
        """Captures the total."""
        if self.open:
            self.captured = PRICE
            self.events.append(lambda order, now: order.capture_payment("payments/1", now))

    def fail(self) -> None:
        """Declines the payment."""
        if self.open:
            self.ended = True
            self.events.append(lambda order, now: order.fail_payment("payments/1", now))

    def refund(self, hundredths: int) -> None:
        """Pays back a part."""
        if 0 < hundredths <= self.captured - self.refunded:
            self.refunded += hundredths
            refunded = Money("EUR", self.refunded)
            self.events.append(lambda order, now: order.refund_payment("payments/1", refunded, now))

    @property
    def open(self) -> bool:
        """Returns whether the outcome is open."""
        return self.asked and not self.ended and not self.captured


ENDS: list[Transition] = [
    lambda order, now: order.cancel(Actor("users/ada"), "", now),
    lambda order, now: order.cancel(Actor("users/boss", staff=True), "", now),
    Order.delete_customer,
    Order.time_out,
]


class Saga(RuleBasedStateMachine):
    """One order, and the world around it."""

    @initialize(in_stock=st.sampled_from([True, True, True, False]))
    def place(self, in_stock: bool) -> None:
        """Places the order."""
        line = OrderLine("products/spade", "Spade", 1, Money("EUR", PRICE))
        self.now = datetime(2026, 1, 2, tzinfo=UTC)
        self.order = Order.place(UUID(int=1), "users/ada", (line,), self.now)
        self.inventory, self.payments = Inventory(["placed"], in_stock=in_stock), Payments()
        self.states = [self.order]

    @rule()
    def inventory_handles(self) -> None:
        """Inventory gets to its next news."""
        if self.inventory.news:
            self.inventory.handle()

    @rule()
    def payments_handle(self) -> None:
        """Payments gets to its next news."""
        if self.payments.news:
            self.payments.handle()

    @rule(of_inventory=st.booleans())
    def event_arrives(self, of_inventory: bool) -> None:
        """The next event of a service arrives."""
        source = self.inventory if of_inventory else self.payments
        if source.events:
            source.delivered.append(source.events.pop(0))
            self._apply(source.delivered[-1])

    @rule(of_inventory=st.booleans(), number=st.integers(0, 9))
    def event_arrives_again(self, of_inventory: bool, number: int) -> None:
        """An event that arrived before arrives again."""
        delivered = (self.inventory if of_inventory else self.payments).delivered
        if delivered:
            self._apply(delivered[number % len(delivered)])

    @rule()
    def all_goes_on(self) -> None:
        """Everything that is on its way arrives."""
        self._settle()

    @rule(others_buy=st.booleans())
    def reservation_expires(self, others_buy: bool) -> None:
        """Nobody commits it in time, and others may buy the units. A payment that takes so long is in review, or was
        captured just now.
        """
        if self.payments.held or self.payments.captured:
            self.inventory.expire()
            self.inventory.in_stock = not others_buy

    @rule(in_stock=st.booleans())
    def stock_changes(self, in_stock: bool) -> None:
        """Others buy, or a lorry arrives."""
        self.inventory.in_stock = in_stock

    @rule()
    def payment_is_held(self) -> None:
        """The risk check finds something."""
        self.payments.hold()

    @rule()
    def payment_is_captured(self) -> None:
        """The provider charges."""
        self.payments.capture()

    @rule(now_and_then=st.integers(0, 9))
    def payment_fails(self, now_and_then: int) -> None:
        """The provider declines, seldom."""
        if now_and_then == 9:
            self.payments.fail()

    @rule(hundredths=st.integers(1, PRICE))
    def staff_refunds(self, hundredths: int) -> None:
        """A part of the price."""
        self.payments.refund(hundredths)

    @rule(end=st.sampled_from(ENDS), now_and_then=st.integers(0, 9))
    def something_ends_it(self, end: Transition, now_and_then: int) -> None:
        """Seldom, so that orders get on. Cancelling fails for a shipped order only."""
        if now_and_then != 9:
            return
        try:
            self._apply(end)
        except FailedPrecondition:
            assert self.order.state is State.SHIPPED

    @rule()
    def staff_ships(self) -> None:
        """Commits the reservation in the inventory. Fails unless the order is confirmed or shipped."""
        if self.order.state is State.CONFIRMED and self.inventory.state is not Reserved.COMMITTED:
            return
        try:
            self._apply(lambda order, now: order.ship(Shipment("DHL", "1", now), "", now))
        except FailedPrecondition:
            assert self.order.state in {State.PENDING, State.CANCELLED}

    @rule()
    def sweeper_retries(self) -> None:
        """A step that waits."""
        if self.order.can_retry(self.now):
            self._sweep()

    @rule()
    def sweeper_dies(self) -> None:
        """Before it has cancelled the order that it gave up."""
        if self.order.wait is not None and not self.order.can_retry(self.now):
            self.order = self.order.give_up(timedelta(minutes=1), self.now)

    def _sweep(self) -> None:
        if self.order.can_retry(self.now):
            self.order = self.order.retry(self.now)
            if self.order.pending_step is PendingStep.STOCK:
                self.inventory.reserve()
            else:
                self.payments.asked = True
        else:
            self._apply(Order.time_out)

    def _apply(self, transition: Transition) -> None:
        """Changes the order, and publishes what changed."""
        self.now += timedelta(seconds=1)
        before, self.order = self.order, transition(self.order, self.now)
        if (before.state, before.pending_step) == (self.order.state, self.order.pending_step):
            return
        self.states.append(self.order)
        match self.order.state, self.order.pending_step:
            case State.PENDING, PendingStep.PAYMENT:
                self.payments.news.append("requested")
            case State.CONFIRMED, _:
                self.inventory.news.append("confirmed")
            case State.CANCELLED, _:
                self.inventory.news.append("cancelled")
                self.payments.news.append("cancelled")

    @invariant()
    def a_state_says_what_it_must(self) -> None:
        """Only a pending order waits, only a cancelled one has a reason, only a shipped one a shipment."""
        assert (self.order.wait is not None) == (self.order.state is State.PENDING)
        assert (self.order.cancel_reason is not None) == (self.order.state is State.CANCELLED)
        assert (self.order.shipment is not None) == (self.order.state is State.SHIPPED)

    @invariant()
    def nothing_is_sold_unpaid(self) -> None:
        """A confirmed or shipped order was captured."""
        if self.order.state in {State.CONFIRMED, State.SHIPPED}:
            assert self.payments.captured == PRICE

    @invariant()
    def versions_and_times_grow(self) -> None:
        """With every change of the state or step; and no state follows a final one."""
        versions = [each.version for each in self.states]
        assert versions == sorted(set(versions))
        assert all(not each.state.final for each in self.states[:-1])

    def teardown(self) -> None:
        """Lets everything arrive, and the sweeper give up: all three services then agree."""
        if not hasattr(self, "order"):
            return
        self._settle()
        self.payments.capture()  # the provider decides in the end
        self._settle()
        while self.order.state is State.PENDING:
            self._sweep()
            self._settle()
        settled = self.order
        for transition in (*self.inventory.delivered, *self.payments.delivered):
            self._apply(transition)
        assert self.order is settled, "what arrives again has no effect"
        sold = self.order.state in {State.CONFIRMED, State.SHIPPED}
        assert sold or self.order.state is State.CANCELLED
        assert self.inventory.state is (Reserved.COMMITTED if sold else Reserved.RELEASED)
        refunded = self.order.refunded.hundredths if self.order.refunded else 0
        assert refunded == self.payments.refunded
        assert self.payments.captured - self.payments.refunded == (PRICE - refunded if sold else 0)
        if self.order.cancel_reason is CancelReason.PAYMENT_FAILED:
            assert self.payments.captured == 0

    def _settle(self) -> None:
        while self.inventory.news or self.payments.news or self.inventory.events or self.payments.events:
            self.inventory_handles()
            self.payments_handle()
            self.event_arrives(True)
            self.event_arrives(False)


Saga.TestCase.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
TestSaga = Saga.TestCase
