"""The consumers of events."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from meshwright.identity.v1.events_pb import RegistrationRepeated, UserDeleted, UserRegistered
from prometheus_client import Counter
from protobuf import Message

from mesh.database import Connection
from mesh.events import Event
from mesh.events.inbox import Handler
from services.notifications import storage
from services.notifications.clients import Users
from services.notifications.domain import Letter, Notification, mailbox, notification_uid, registered_already, welcome
from services.notifications.mail import Mailer, UndeliverableMail, compose

UNDELIVERABLE = Counter("notifications_undeliverable_total", "Mails that can't be delivered, and are not tried again.")

log = structlog.get_logger()


class Consumers:
    """The handlers of events: they mail users, and delete the notifications of deleted users."""

    def __init__(self, users: Users, mailer: Mailer, sender: str, hash_key: str) -> None:
        """Prepares the handlers. `hash_key` is a secret: without it, nobody can look up an address among those that
        were mailed.
        """
        self._users = users
        self._mailer = mailer
        self._sender = sender
        self._hash_key = hash_key.encode()

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {
            UserRegistered: self.user_registered,
            RegistrationRepeated: self.registration_repeated,
            UserDeleted: self.user_deleted,
        }

    async def user_registered(self, tx: Connection, event: Event[UserRegistered]) -> None:
        """Sends the welcome mail."""
        await self._mail(tx, event, event.data.user, welcome())

    async def registration_repeated(self, tx: Connection, event: Event[RegistrationRepeated]) -> None:
        """Mails the owner of an address that the address already has an account."""
        await self._mail(tx, event, event.data.user, registered_already())

    async def user_deleted(self, tx: Connection, event: Event[UserDeleted]) -> None:
        """Deletes the user's notifications, but remembers that the address had its mail of this day."""
        await storage.delete_of(tx, event.data.user)

    async def _mail(self, tx: Connection, event: Event[Any], user: str, letter: Letter) -> None:
        """Sends a letter to an unconfirmed address, unless it had one within a day. Sending is the last step before the
        transaction commits.

        A process that dies between the two sends the mail again, with the same Message-ID, because mail can't be sent
        exactly once. Temporary errors are raised, and the inbox retries; a mail that can never be delivered is recorded
        as such.
        """
        address = await self._users.find_address(user)
        if address is None:
            log.info("no mail sent: the user does not exist", user=user)
            return
        notification = Notification(
            notification_uid(event.source, event.id), user, letter.subject, send_time=datetime.now(UTC)
        )
        if not await storage.claim_mail(tx, self._hash(address)):
            log.info("no mail sent: the address had one within a day", user=user)
            return
        if not await storage.insert(tx, notification):
            return
        try:
            await self._mailer.send(compose(notification, letter, sender=self._sender, recipient=address))
        except UndeliverableMail as error:
            await storage.mark_undeliverable(tx, notification)
            UNDELIVERABLE.inc()
            log.warning("mail is undeliverable", user=user, notification=notification.name, reason=str(error))

    def _hash(self, address: str) -> bytes:
        return hmac.digest(self._hash_key, f"mailbox:{mailbox(address)}".encode(), hashlib.sha256)
