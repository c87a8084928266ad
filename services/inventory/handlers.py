"""The methods of InventoryService."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from meshwright.inventory.v1.inventory_grpc import InventoryServiceBase
from meshwright.inventory.v1.inventory_pb import (
    AdjustStockRequest,
    Availability,
    BatchAdjustStockRequest,
    BatchAdjustStockResponse,
    CommitRequest,
    GetAvailabilityRequest,
    GetStockRequest,
    ListAdjustmentsRequest,
    ListAdjustmentsResponse,
    ListReorderProposalsRequest,
    ListReorderProposalsResponse,
    ListStockRequest,
    ListStockResponse,
    ReleaseRequest,
    ReserveRequest,
    UpdateStockRequest,
    WatchLowStockRequest,
    WatchLowStockResponse,
)
from meshwright.inventory.v1.inventory_pb import Reservation as ReservationMessage
from meshwright.inventory.v1.inventory_pb import Stock as StockMessage

from mesh.database import Connection, Database
from mesh.errors import FailedPrecondition, FieldViolation, InvalidArgument
from mesh.field_mask import apply_update
from mesh.idempotency import once
from mesh.pagination import Page, read_page
from mesh.resume import read_resume_token
from mesh.rpc import Call
from services.inventory import reservations, storage
from services.inventory.domain import State, Stock, product_of, total_units
from services.inventory.erasure_storage import ERASED_USERS
from services.inventory.messages import (
    adjustment_message,
    availability,
    proposal_message,
    reservation_message,
    stock_message,
)
from services.inventory.storage import Adjustment, StockFilter

UPDATABLE: Final = frozenset({"reorder_level", "reorder_quantity"})
WATCH_EVERY_S: Final = 1.0


class InventoryHandlers(InventoryServiceBase):
    """The handlers of InventoryService. A change of stock and its event are written in one transaction."""

    def __init__(
        self, database: Database, reservation_valid_for: timedelta, *, watch_every_s: float = WATCH_EVERY_S
    ) -> None:
        self._database = database
        self._reservation_valid_for = reservation_valid_for
        self._watch_every_s = watch_every_s

    async def get_availability(self, request: GetAvailabilityRequest, call: Call) -> Availability:
        """Returns how many units of a product can be ordered."""
        product = product_of(request.name, "/availability")
        async with self._database.autocommit() as connection:
            return availability(request.name, await storage.find(connection, product))

    async def get_stock(self, request: GetStockRequest, call: Call) -> StockMessage:
        """Returns the stock of a product."""
        product = product_of(request.name, "/stock")
        async with self._database.autocommit() as connection:
            stock = await storage.find(connection, product)
        return stock_message(stock or Stock.empty(product, datetime.now(UTC)))

    async def list_stock(self, request: ListStockRequest, call: Call) -> ListStockResponse:
        """Lists the stock of all products, or of those that run low."""
        found, next_page_token = await self._list(request, StockFilter.LOW if request.low_only else StockFilter.ALL)
        return ListStockResponse(stock=[stock_message(each) for each in found], next_page_token=next_page_token)

    async def list_reorder_proposals(
        self, request: ListReorderProposalsRequest, call: Call
    ) -> ListReorderProposalsResponse:
        """Lists what to reorder."""
        found, next_page_token = await self._list(request, StockFilter.TO_REORDER)
        proposals = [proposal_message(stock) for stock in found]
        return ListReorderProposalsResponse(proposals=proposals, next_page_token=next_page_token)

    async def _list(
        self, request: ListStockRequest | ListReorderProposalsRequest, stock_filter: StockFilter
    ) -> tuple[Sequence[Stock], str]:
        page = read_page(
            request.page_size, request.page_token, query=(stock_filter.name,), key_types=storage.STOCK_KEY_TYPES
        )
        async with self._database.autocommit() as connection:
            return await storage.list_stock(connection, page, stock_filter)

    async def update_stock(self, request: UpdateStockRequest, call: Call) -> StockMessage:
        """Changes when and how much to reorder."""
        patch = request.stock or StockMessage()
        product = product_of(patch.name, "/stock")
        now = datetime.now(UTC)
        async with self._database.transaction() as tx:
            before = await storage.lock_all(tx, [product], now)
            current = before[product]
            wanted = apply_update(stock_message(current), patch, request.update_mask, updatable=UPDATABLE)
            after = current.reorder_at(wanted.reorder_level, wanted.reorder_quantity, patch.etag, now)
            if after is not current:
                await reservations.write_stock(tx, before, [after])
        return stock_message(after)

    async def adjust_stock(self, request: AdjustStockRequest, call: Call) -> StockMessage:
        """Adjusts the stock of a product, once for each request_id."""
        async with self._database.transaction() as tx:
            return await once(tx, call, request, partial(_adjust_one, tx, request, call.caller.subject))

    async def batch_adjust_stock(self, request: BatchAdjustStockRequest, call: Call) -> BatchAdjustStockResponse:
        """Adjusts the stock of several products, all or none, once for each request_id."""
        _check_products(request.requests)
        async with self._database.transaction() as tx:
            return await once(tx, call, request, partial(_adjust_batch, tx, request, call.caller.subject))

    async def list_adjustments(self, request: ListAdjustmentsRequest, call: Call) -> ListAdjustmentsResponse:
        """Lists the adjustments of a product's stock."""
        product = product_of(request.parent, "/stock")
        page: Page = read_page(
            request.page_size, request.page_token, query=(product,), key_types=storage.ADJUSTMENT_KEY_TYPES
        )
        async with self._database.autocommit() as connection:
            found, next_page_token = await storage.list_adjustments(connection, product, page)
        adjustments = [adjustment_message(each) for each in found]
        return ListAdjustmentsResponse(adjustments=adjustments, next_page_token=next_page_token)

    async def watch_low_stock(self, request: WatchLowStockRequest, call: Call) -> AsyncIterator[WatchLowStockResponse]:
        """Reads the changes after the last one that was sent, again and again: any process can continue a stream."""
        resume = read_resume_token(request.resume_token, query=("watch low",), key_types=storage.LOW_CHANGE_KEY_TYPES)
        after = resume.after
        while True:
            async with self._database.autocommit() as connection:
                position, began = after or (0, await storage.low_position(connection))
                changes = await storage.list_low_changes(connection, position, began)
            for changed, stock in changes:
                token = resume.token(changed, began)
                yield WatchLowStockResponse(stock=stock_message(stock), low=stock.low, resume_token=token)
            after = (changes[-1][0] if changes else max(position, began), began)
            if not changes:
                await asyncio.sleep(self._watch_every_s)

    async def reserve(self, request: ReserveRequest, call: Call) -> ReservationMessage:
        """Reserves the products of an order."""
        units = total_units((each.product, each.quantity) for each in request.units)
        async with self._database.transaction() as tx:
            reservation = await reservations.reserve(
                tx, request.order, units, datetime.now(UTC), self._reservation_valid_for
            )
        return reservation_message(reservation)

    async def release(self, request: ReleaseRequest, call: Call) -> ReservationMessage:
        """Makes the products of an order available again."""
        async with self._database.transaction() as tx:
            return reservation_message(await reservations.release(tx, request.order, datetime.now(UTC)))

    async def commit(self, request: CommitRequest, call: Call) -> ReservationMessage:
        """Takes the products of an order out of the stock. The error is raised after the transaction, because the
        outcome was published in it.
        """
        async with self._database.transaction() as tx:
            reservation = await reservations.commit(tx, request.order, datetime.now(UTC))
        if reservation is None:
            raise FailedPrecondition(f"{request.order} has no reservation.", reason="RESERVATION_NOT_FOUND")
        if reservation.state is not State.COMMITTED:
            raise FailedPrecondition(
                f"The reservation for {request.order} is {reservation.state.value}, so it can't be committed.",
                reason="RESERVATION_STATE",
                metadata={"state": reservation.state.name},
            )
        return reservation_message(reservation)


def _check_products(requests: Sequence[AdjustStockRequest]) -> None:
    """Raises InvalidArgument with each request for a product that an earlier one names."""
    seen: set[str] = set()
    violations = []
    for index, request in enumerate(requests):
        if request.name in seen:
            description = "must not name a product twice: add up the adjustments"
            violations.append(FieldViolation(f"requests[{index}].name", description, "DUPLICATE"))
        seen.add(request.name)
    if violations:
        raise InvalidArgument(
            f"{violations[0].field}: {violations[0].description}.", reason="INVALID_FIELD", violations=violations
        )


async def _adjust_one(tx: Connection, request: AdjustStockRequest, actor: str) -> StockMessage:
    (stock,) = await _adjust(tx, [request], actor)
    return stock


async def _adjust_batch(tx: Connection, request: BatchAdjustStockRequest, actor: str) -> BatchAdjustStockResponse:
    return BatchAdjustStockResponse(stock=await _adjust(tx, request.requests, actor))


async def _adjust(tx: Connection, requests: Sequence[AdjustStockRequest], actor: str) -> list[StockMessage]:
    await ERASED_USERS.check_caller(tx, actor)
    now = datetime.now(UTC)
    adjustments = [_adjustment(request, actor, now) for request in requests]
    before = await storage.lock_all(tx, [each.product for each in adjustments], now)
    after = [before[each.product].adjust(each.delta, now) for each in adjustments]
    await reservations.write_stock(tx, before, after)
    await storage.insert_adjustments(tx, adjustments)
    return [stock_message(stock) for stock in after]


def _adjustment(request: AdjustStockRequest, actor: str, now: datetime) -> Adjustment:
    assert request.adjustment is not None, "the contract requires it"
    wanted = request.adjustment
    return Adjustment(
        product_of(request.name, "/stock"), wanted.delta, wanted.reason.name, wanted.note, actor, create_time=now
    )
