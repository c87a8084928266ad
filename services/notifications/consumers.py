"""What the service does about events."""

from collections.abc import Mapping
from datetime import UTC, datetime

import structlog
from meshwright.identity.v1.events_pb import UserDeleted, UserRegistered
from protobuf import Message

from mesh.database import Connection
from mesh.events import Event
from mesh.events.inbox import Handler
from services.notifications import storage
from services.notifications.clients import Users
from services.notifications.domain import Notification, notification_uid, welcome
from services.notifications.mail import Mailer, compose

log = structlog.get_logger()


class Consumers:
    """Mails users and forgets those who leave."""

    def __init__(self, users: Users, mailer: Mailer, sender: str) -> None:
        self._users = users
        self._mailer = mailer
        self._sender = sender

    def handlers(self) -> Mapping[type[Message], Handler]:
        """The handler of each event, for the inbox."""
        return {UserRegistered: self.user_registered, UserDeleted: self.user_deleted}

    async def user_registered(self, tx: Connection, event: Event[UserRegistered]) -> None:
        """Sends the welcome mail, as the last thing before the transaction that remembers it commits.

        A process that dies between the two sends it again: mail can't be had exactly once. The second has the same
        Message-ID. Whatever fails is raised, and the inbox tries again later.
        """
        user = event.data.user
        recipient = await self._users.find(user)
        if recipient is None:
            log.info("no welcome mail: the user is gone", user=user)
            return
        letter = welcome(recipient.display_name)
        notification = Notification(
            notification_uid(event.source, event.id), user, letter.subject, send_time=datetime.now(UTC)
        )
        if await storage.insert(tx, notification):
            message = compose(notification, letter, sender=self._sender, recipient=recipient.email)
            await self._mailer.send(message)

    async def user_deleted(self, tx: Connection, event: Event[UserDeleted]) -> None:
        """Forgets what was sent to the user."""
        await storage.delete_of(tx, event.data.user)
