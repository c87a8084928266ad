"""Stand-ins for inventory and payments, whose responses over gRPC tests choose."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from googleapis.google.type.money_pb import Money
from meshwright.inventory.v1.inventory_grpc import InventoryServiceBase
from meshwright.inventory.v1.inventory_pb import CommitRequest, ReleaseRequest, Reservation, ReserveRequest
from meshwright.orders.v1.orders_pb import Order
from meshwright.payments.v1.payments_grpc import PaymentsServiceBase
from meshwright.payments.v1.payments_pb import (
    CancelChargeRequest,
    CancelChargeResponse,
    ChargeRequest,
    GetChargeRequest,
    Payment,
)

from mesh.client import Channel
from mesh.errors import MeshError, NotFound, Unavailable
from mesh.rpc import Call
from tests.given_token import GivenToken
from tests.issuer import Issuer
from tests.services.calls import serving, standing_in_for


@dataclass
class Others:
    """The stand-ins. They respond to Reserve and Charge with a state, or are unavailable if it is None, and to Commit
    unless it is to fail. A payment may have failed before. `later_state` is that of a payment that is asked for later,
    unless payments is `silent` then.
    """

    reservation_state: Reservation.State | None = None
    payment_state: Payment.State | None = None
    payment_failure: Payment.Failure = Payment.Failure.UNSPECIFIED
    later_state: Payment.State | None = None
    silent: bool = False
    commit_failure: MeshError | None = None
    requests: list[ReserveRequest | ChargeRequest] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    committed: list[str] = field(default_factory=list)
    undone: list[tuple[str, str]] = field(default_factory=list)

    async def reserve(self, request: ReserveRequest, _: Call) -> Reservation:
        """Records the request and responds."""
        self.requests.append(request)
        if self.reservation_state is None:
            raise Unavailable("inventory is away")
        return reservation(Order(name=request.order), self.reservation_state)

    async def commit(self, request: CommitRequest, _: Call) -> Reservation:
        """Records the order and responds."""
        if self.commit_failure is not None:
            raise self.commit_failure
        self.committed.append(request.order)
        return reservation(Order(name=request.order), Reservation.State.COMMITTED)

    async def charge(self, request: ChargeRequest, _: Call) -> Payment:
        """Records the request and responds."""
        self.requests.append(request)
        if self.payment_state is None:
            raise Unavailable("payments is away")
        charged = payment(Order(name=request.order, uid="1"), self.payment_state)
        charged.failure = self.payment_failure
        return charged

    async def get_charge(self, request: GetChargeRequest, _: Call) -> Payment:
        """Records the order and responds with the payment as it is later."""
        self.asked.append(request.order)
        if self.silent:
            await asyncio.Event().wait()
        if self.later_state is None:
            raise NotFound("there is no payment")
        return payment(Order(name=request.order, uid="1"), self.later_state)

    async def release(self, request: ReleaseRequest, _: Call) -> Reservation:
        """Records the order and responds."""
        self.undone.append(("inventory", request.order))
        return reservation(Order(name=request.order), Reservation.State.RELEASED)

    async def cancel_charge(self, request: CancelChargeRequest, _: Call) -> CancelChargeResponse:
        """Records the order and responds."""
        self.undone.append(("payments", request.order))
        return CancelChargeResponse()

    @contextlib.asynccontextmanager
    async def channels(self, issuer: Issuer) -> AsyncIterator[tuple[Channel, Channel]]:
        """Starts both, and opens the channels of orders to them."""
        inventory_service = standing_in_for(
            InventoryServiceBase, reserve=self.reserve, release=self.release, commit=self.commit
        )
        payments_service = standing_in_for(
            PaymentsServiceBase, charge=self.charge, get_charge=self.get_charge, cancel_charge=self.cancel_charge
        )
        tokens = GivenToken(issuer.token("workloads/orders"))
        async with (
            serving(issuer, inventory_service) as inventory_port,
            serving(issuer, payments_service) as payments_port,
            Channel("inventory", f"127.0.0.1:{inventory_port}", caller="orders", tokens=tokens) as inventory,
            Channel("payments", f"127.0.0.1:{payments_port}", caller="orders", tokens=tokens) as payments,
        ):
            yield inventory, payments


def reservation(order: Order, state: Reservation.State = Reservation.State.RESERVED) -> Reservation:
    """Returns the reservation of an order."""
    return Reservation(order=order.name, state=state)


def payment(order: Order, state: Payment.State, refunded: Money | None = None) -> Payment:
    """Returns the payment of an order."""
    return Payment(
        name=f"payments/{order.uid}",
        order=order.name,
        customer=order.customer,
        amount=order.total,
        state=state,
        refunded=refunded,
    )
