"""The methods of PaymentsService."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from meshwright.payments.v1.events_pb import PaymentChanged
from meshwright.payments.v1.payments_grpc import PaymentsServiceBase
from meshwright.payments.v1.payments_pb import (
    CreatePaymentRequest,
    DeletePaymentRequest,
    GetPaymentRequest,
    ListPaymentsRequest,
    ListPaymentsResponse,
    UpdatePaymentRequest,
    WatchPaymentsRequest,
    WatchPaymentsResponse,
)
from meshwright.payments.v1.payments_pb import Payment as PaymentMessage
from protobuf.wkt import Timestamp

from mesh.database import Connection, Database
from mesh.events import publish
from mesh.field_mask import apply_update
from mesh.idempotency import once
from mesh.pagination import read_page
from mesh.resume import read_resume_token
from mesh.rpc import Call
from services.payments import storage
from services.payments.domain import Details, Payment, owned, uid_of

SOURCE: Final = "payments"
UPDATABLE: Final = frozenset({"display_name", "description"})
PAGE_SIZE_MAX: Final = 200
WATCH_EVERY_S: Final = 1.0


class PaymentsHandlers(PaymentsServiceBase):
    """Keeps payments. A change and its event are written in one transaction."""

    def __init__(self, database: Database, *, watch_every_s: float = WATCH_EVERY_S) -> None:
        self._database = database
        self._watch_every_s = watch_every_s

    async def create_payment(self, request: CreatePaymentRequest, call: Call) -> PaymentMessage:
        """Creates a payment, once for each request_id."""
        details = _details(request.payment or PaymentMessage())
        async with self._database.transaction() as tx:
            return await once(tx, call, request, partial(_create, tx, call.caller.subject, details))

    async def get_payment(self, request: GetPaymentRequest, call: Call) -> PaymentMessage:
        """Returns one of the caller's."""
        uid = uid_of(request.name)
        async with self._database.transaction() as tx:
            return _message(owned(await storage.find(tx, uid), call.caller.subject))

    async def list_payments(self, request: ListPaymentsRequest, call: Call) -> ListPaymentsResponse:
        """Returns a page of the caller's."""
        owner = call.caller.subject
        page = read_page(
            request.page_size,
            request.page_token,
            query=(owner,),
            key_types=storage.LIST_KEY_TYPES,
            size_max=PAGE_SIZE_MAX,
        )
        async with self._database.transaction() as tx:
            found, next_page_token = await storage.list_payments(tx, owner, page)
        return ListPaymentsResponse(payments=[_message(each) for each in found], next_page_token=next_page_token)

    async def update_payment(self, request: UpdatePaymentRequest, call: Call) -> PaymentMessage:
        """Changes the fields that the mask names."""
        patch = request.payment or PaymentMessage()

        def updated(current: Payment) -> Payment:
            wanted = apply_update(_message(current), patch, request.update_mask, updatable=UPDATABLE)
            return current.update(_details(wanted), patch.etag, datetime.now(UTC))

        return await self._change(uid_of(patch.name), call.caller.subject, updated)

    async def delete_payment(self, request: DeletePaymentRequest, call: Call) -> PaymentMessage:
        """Marks a payment as deleted, so that streams can report it."""
        return await self._change(
            uid_of(request.name),
            call.caller.subject,
            lambda current: current.delete(request.etag, datetime.now(UTC)),
        )

    async def watch_payments(self, request: WatchPaymentsRequest, call: Call) -> AsyncIterator[WatchPaymentsResponse]:
        """Reads the changes after the last one that was sent, again and again: any process can continue a stream."""
        owner = call.caller.subject
        resume = read_resume_token(request.resume_token, query=("watch", owner), key_types=storage.CHANGE_KEY_TYPES)
        after = resume.after
        while True:
            async with self._database.transaction() as tx:
                changes = await storage.list_changes(tx, owner, after)
            for position, changed in changes:
                after = (position,)
                yield WatchPaymentsResponse(payment=_message(changed), resume_token=resume.token(position))
            if not changes:
                await asyncio.sleep(self._watch_every_s)

    async def _change(self, uid: UUID, owner: str, change: Callable[[Payment], Payment]) -> PaymentMessage:
        """Changes a payment under its row's lock, and publishes the change if there was one."""
        async with self._database.transaction() as tx:
            current = owned(await storage.find(tx, uid, lock=True), owner)
            changed = change(current)
            message = _message(changed)
            if changed is not current:
                await storage.update(tx, changed)
                await publish(tx, PaymentChanged(payment=message), source=SOURCE, aggregate=changed.name)
        return message


async def _create(tx: Connection, owner: str, details: Details) -> PaymentMessage:
    created = Payment.create(uuid4(), owner, details, datetime.now(UTC))
    await storage.insert(tx, created)
    message = _message(created)
    await publish(tx, PaymentChanged(payment=message), source=SOURCE, aggregate=created.name)
    return message


def _details(message: PaymentMessage) -> Details:
    return Details.checked(message.display_name, message.description)


def _message(payment: Payment) -> PaymentMessage:
    return PaymentMessage(
        name=payment.name,
        uid=str(payment.uid),
        owner=payment.owner,
        display_name=payment.details.display_name,
        description=payment.details.description,
        create_time=Timestamp.from_datetime(payment.create_time),
        update_time=Timestamp.from_datetime(payment.update_time),
        delete_time=None if payment.delete_time is None else Timestamp.from_datetime(payment.delete_time),
        etag=payment.etag,
    )
