"""What the service does about events."""

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
    """Mails users and forgets those who leave."""

    def __init__(self, users: Users, mailer: Mailer, sender: str, hash_key: str) -> None:
        """`hash_key` is a secret: with it alone addresses can be looked up among those that were mailed."""
        self._users = users
        self._mailer = mailer
        self._sender = sender
        self._hash_key = hash_key.encode()

    def handlers(self) -> Mapping[type[Message], Handler]:
        """The handler of each event, for the inbox."""
        return {
            UserRegistered: self.user_registered,
            RegistrationRepeated: self.registration_repeated,
            UserDeleted: self.user_deleted,
        }

    async def user_registered(self, tx: Connection, event: Event[UserRegistered]) -> None:
        """Sends the welcome mail."""
        await self._mail(tx, event, event.data.user, welcome())

    async def registration_repeated(self, tx: Connection, event: Event[RegistrationRepeated]) -> None:
        """Tells the owner of an address that it has an account already."""
        await self._mail(tx, event, event.data.user, registered_already())

    async def user_deleted(self, tx: Connection, event: Event[UserDeleted]) -> None:
        """Forgets what was sent to the user, but not that the address had its mail of this day."""
        await storage.delete_of(tx, event.data.user)

    async def _mail(self, tx: Connection, event: Event[Any], user: str, letter: Letter) -> None:
        """Sends a letter to an address that nobody has confirmed, unless it had one within a day. That is the last
        thing before the transaction that remembers it commits.

        A process that dies between the two sends it again: mail can't be had exactly once. The second has the same
        Message-ID. What may heal is raised, and the inbox tries again later; a mail that can never be delivered is
        recorded as such.
        """
        address = await self._users.find_address(user)
        if address is None:
            log.info("no mail: the user is gone", user=user)
            return
        notification = Notification(
            notification_uid(event.source, event.id), user, letter.subject, send_time=datetime.now(UTC)
        )
        if not await storage.claim_mail(tx, self._hash(address)):
            log.info("no mail: the address had one within a day", user=user)
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
