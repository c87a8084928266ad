"""A notification: a message about something that happened to a user, and how it reaches them."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, Self
from uuid import NAMESPACE_URL, UUID, uuid5

from mesh.errors import NotFound
from mesh.resource_name import uid_in

NAME_PREFIX = "notifications/"


class Kind(enum.StrEnum):
    """The thing that happened. A template of the same name has the words for it."""

    WELCOME = "welcome"
    REGISTRATION_REPEATED = "registration_repeated"
    ORDER_CONFIRMED = "order_confirmed"
    ORDER_SHIPPED = "order_shipped"
    ORDER_CANCELLED = "order_cancelled"
    REFUND_ISSUED = "refund_issued"
    EMAIL_CONFIRMATION = "email_confirmation"
    NEW_EMAIL_CONFIRMATION = "new_email_confirmation"
    EMAIL_CHANGING = "email_changing"
    PASSWORD_RESET = "password_reset"
    PASSWORD_CHANGED = "password_changed"
    WEBHOOK_ENDPOINT_DISABLED = "webhook_endpoint_disabled"


class Channel(enum.StrEnum):
    """A way in which a notification reaches its user."""

    EMAIL = "email"
    SMS = "sms"
    IN_APP = "in_app"


OUTGOING: Final = (Channel.EMAIL, Channel.SMS)
"""The channels by which messages leave the shop."""


class DeliveryState(enum.StrEnum):
    """The result of delivering a notification on a channel."""

    PENDING = "pending"
    SENT = "sent"
    UNDELIVERABLE = "undeliverable"


@dataclass(frozen=True, slots=True)
class Notification:
    """A message to a user ("users/{uid}"). `resource` names what it is about, "" for the account itself. `text` is ""
    for mails about the account, which may hold what only the owner of the address must read.
    """

    uid: UUID
    user: str
    kind: Kind
    subject: str
    send_time: datetime
    text: str = ""
    resource: str = ""
    deliveries: Mapping[Channel, DeliveryState] = field(default_factory=lambda: MappingProxyType({}))
    read_time: datetime | None = None

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.uid}"

    def read(self, now: datetime) -> Self:
        """Returns it as read; itself if it was read before."""
        return self if self.read_time is not None else replace(self, read_time=now)


def notification_uid(source: str, event_id: str) -> UUID:
    """Returns the identifier of the notification for an event, the same each time that the event is handled.

    By CloudEvents 1.0, source and id together identify an event.
    """
    return uuid5(NAMESPACE_URL, f"{source}#{event_id}")


def uid_of(name: str) -> UUID:
    """Returns the identifier in a notification's name. Raises NotFound if no notification can have this name."""
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise _not_found()
    return uid


def received_by(user: str, notification: Notification | None) -> Notification:
    """Returns the notification if it is this user's. Raises NotFound, with the same message if it does not exist or
    belongs to somebody else.
    """
    if notification is None or notification.user != user:
        raise _not_found()
    return notification


def _not_found() -> NotFound:
    return NotFound("The notification does not exist.", reason="NOTIFICATION_NOT_FOUND")
