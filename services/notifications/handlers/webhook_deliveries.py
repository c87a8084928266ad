"""The methods of WebhookDeliveriesService."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid4

from meshwright.notifications.v1.webhook_deliveries_grpc import WebhookDeliveriesServiceBase
from meshwright.notifications.v1.webhook_deliveries_pb import (
    GetWebhookDeliveryRequest,
    ListWebhookDeliveriesRequest,
    ListWebhookDeliveriesResponse,
    RedeliverWebhookRequest,
    WebhookAttempt,
)
from meshwright.notifications.v1.webhook_deliveries_pb import WebhookDelivery as DeliveryMessage
from protobuf.wkt import Duration, Timestamp

from mesh.database import Connection, Database
from mesh.idempotency import once
from mesh.pagination import read_page
from mesh.rpc import Call
from services.notifications.domain.webhook_delivery import (
    Attempt,
    State,
    WebhookDelivery,
    check_settled,
    of_endpoint,
    uids_of,
)
from services.notifications.domain.webhook_endpoint import WebhookEndpoint, check_enabled, uid_of
from services.notifications.handlers.webhook_access import accessible
from services.notifications.storage import webhook_deliveries, webhook_endpoints

PAGE_SIZE_MAX: Final = 20  # a message about an order of a hundred lines takes 100 kB, and a response may have 4 MiB


class WebhookDeliveriesHandlers(WebhookDeliveriesServiceBase):
    """The handlers of WebhookDeliveriesService."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get_webhook_delivery(self, request: GetWebhookDeliveryRequest, call: Call) -> DeliveryMessage:
        """Returns a delivery to an endpoint of the caller."""
        endpoint, delivery = uids_of(request.name)
        async with self._database.transaction() as tx:
            owned = await _accessible(tx, endpoint, call)
            return delivery_message(of_endpoint(owned, await webhook_deliveries.find(tx, delivery)))

    async def list_webhook_deliveries(
        self, request: ListWebhookDeliveriesRequest, call: Call
    ) -> ListWebhookDeliveriesResponse:
        """Lists the deliveries to an endpoint of the caller."""
        endpoint = uid_of(request.parent)
        page = read_page(
            request.page_size,
            request.page_token,
            query=(request.parent,),
            key_types=webhook_deliveries.LIST_KEY_TYPES,
            size_max=PAGE_SIZE_MAX,
        )
        async with self._database.transaction() as tx:
            owned = await _accessible(tx, endpoint, call)
            listed, next_page_token = await webhook_deliveries.list_deliveries(tx, owned, page)
        return ListWebhookDeliveriesResponse(
            deliveries=[delivery_message(delivery) for delivery in listed], next_page_token=next_page_token
        )

    async def redeliver_webhook(self, request: RedeliverWebhookRequest, call: Call) -> DeliveryMessage:
        """Adds a new delivery of the same message, once for each request_id. Whether the caller may see the message is
        checked each time: a stored response has its body.
        """
        endpoint, delivery = uids_of(request.name)

        async def add() -> DeliveryMessage:
            check_settled(previous)
            check_enabled(owned)
            now = datetime.now(UTC)
            again = replace(previous, uid=uuid4(), state=State.PENDING, create_time=now, due_time=now, attempts=())
            await webhook_deliveries.insert(tx, again)
            return delivery_message(again)

        async with self._database.transaction() as tx:
            owned = await _accessible(tx, endpoint, call, lock=True)
            previous = of_endpoint(owned, await webhook_deliveries.find(tx, delivery, lock=True))
            return await once(tx, call, request, add)


async def _accessible(tx: Connection, endpoint: UUID, call: Call, *, lock: bool = False) -> WebhookEndpoint:
    return accessible(await webhook_endpoints.find(tx, endpoint, lock=lock), call)


def delivery_message(delivery: WebhookDelivery) -> DeliveryMessage:
    """Returns a delivery as a message."""
    return DeliveryMessage(
        name=delivery.name,
        webhook_id=delivery.message.webhook_id,
        event_type=delivery.message.type,
        body=delivery.message.body.decode(),
        state=DeliveryMessage.State[delivery.state.name],
        create_time=Timestamp.from_datetime(delivery.create_time),
        next_attempt_time=None if delivery.due_time is None else Timestamp.from_datetime(delivery.due_time),
        attempts=[_attempt(attempt) for attempt in delivery.attempts],
    )


def _attempt(attempt: Attempt) -> WebhookAttempt:
    return WebhookAttempt(
        attempt_time=Timestamp.from_datetime(attempt.time),
        duration=Duration.from_timedelta(attempt.duration),
        status_code=attempt.status or 0,
        error=attempt.error,
    )
