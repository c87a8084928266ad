"""A webhook delivery: a message for one endpoint, and the attempts to deliver it."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID

from mesh.errors import FailedPrecondition, NotFound
from mesh.resource_name import uid_in
from services.notifications.domain.retry_schedule import RetrySchedule
from services.notifications.domain.webhook_endpoint import NAME_PREFIX as ENDPOINT_PREFIX
from services.notifications.domain.webhook_endpoint import WebhookEndpoint

SCHEDULE: Final = RetrySchedule((5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400))
"""The schedule that Standard Webhooks recommends: ten attempts within three days."""

RETRY_AFTER_S_MAX: Final = 86400.0
GONE: Final = 410


class State(enum.StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Message:
    """A message about something that happened, as receivers get it. The same one is delivered to several endpoints."""

    uid: UUID
    customer: str
    type: str
    body: bytes

    @property
    def webhook_id(self) -> str:
        """Returns the identifier by which receivers recognise a message that arrives again."""
        return f"msg_{self.uid.hex}"


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to deliver. `status` is the HTTP status, None if there was no response: `error` says why."""

    time: datetime
    duration: timedelta
    status: int | None = None
    error: str = ""
    retry_after_s: float = 0.0

    @property
    def succeeded(self) -> bool:
        """Returns whether the receiver accepted the message."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Returns whether the receiver wants no more messages."""
        return self.status == GONE


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """A delivery. `due_time` is the time of the next attempt, None if there is none."""

    uid: UUID
    endpoint: UUID
    message: Message
    state: State
    create_time: datetime
    due_time: datetime | None
    attempts: Sequence[Attempt] = ()

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{ENDPOINT_PREFIX}{self.endpoint}/deliveries/{self.uid}"

    def attempted(self, attempt: Attempt, schedule: RetrySchedule = SCHEDULE) -> Self:
        """Returns it after an attempt. A receiver's Retry-After postpones the next one, by a day at most."""
        attempts = (*self.attempts, attempt)
        if attempt.succeeded:
            return replace(self, attempts=attempts, state=State.SUCCEEDED, due_time=None)
        pause_s = schedule.pause_s(len(attempts))
        if pause_s is None or attempt.gone:
            return replace(self, attempts=attempts, state=State.FAILED, due_time=None)
        pause_s = max(pause_s, min(attempt.retry_after_s, RETRY_AFTER_S_MAX))
        return replace(self, attempts=attempts, due_time=attempt.time + timedelta(seconds=pause_s))


def uids_of(name: str) -> tuple[UUID, UUID]:
    """Returns the identifiers of the endpoint and the delivery in a delivery's name. Raises NotFound if no delivery can
    have this name.
    """
    endpoint, _, delivery = name.partition("/deliveries/")
    endpoint_uid, delivery_uid = uid_in(endpoint, ENDPOINT_PREFIX), uid_in(delivery, "")
    if endpoint_uid is None or delivery_uid is None:
        raise _not_found()
    return endpoint_uid, delivery_uid


def of_endpoint(endpoint: WebhookEndpoint, delivery: WebhookDelivery | None) -> WebhookDelivery:
    """Returns the delivery if it belongs to this endpoint. Raises NotFound, also if it is left from a time when the
    endpoint received the orders of all customers.
    """
    if delivery is None or delivery.endpoint != endpoint.uid or not endpoint.receives(delivery.message.customer):
        raise _not_found()
    return delivery


def check_settled(delivery: WebhookDelivery) -> None:
    """Raises FailedPrecondition if the delivery is still being attempted."""
    if delivery.state is State.PENDING:
        raise FailedPrecondition(
            "The delivery is still pending: it is attempted again by itself.", reason="WEBHOOK_DELIVERY_PENDING"
        )


def _not_found() -> NotFound:
    return NotFound("The webhook delivery does not exist.", reason="WEBHOOK_DELIVERY_NOT_FOUND")
