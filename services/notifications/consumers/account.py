"""The consumers of events about accounts, which are mailed at once."""

from datetime import UTC, datetime
from typing import Any

import structlog
from meshwright.identity.v1.events_pb import RegistrationRepeated, UserRegistered
from protobuf import Message

from mesh.database import Connection
from mesh.events import Event
from mesh.events.inbox import Handler
from services.notifications.clients import Users
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.notification import (
    Channel,
    DeliveryState,
    Kind,
    Notification,
    notification_uid,
)
from services.notifications.letters import Letters
from services.notifications.senders.mail import Mailer, UndeliverableMail, compose
from services.notifications.senders.outgoing import UNDELIVERABLE
from services.notifications.storage import mailed_addresses, notifications

log = structlog.get_logger()


class AccountConsumers:
    """The handlers of events about accounts. Their mails are sent while the event is handled, and their texts are not
    stored: such a text may let its reader into the account.
    """

    def __init__(self, users: Users, mailer: Mailer, letters: Letters, hashes: KeyedHash, sender: str) -> None:
        self._users = users
        self._mailer = mailer
        self._letters = letters
        self._hashes = hashes
        self._sender = sender

    def handlers(self) -> dict[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {UserRegistered: self.user_registered, RegistrationRepeated: self.registration_repeated}

    async def user_registered(self, tx: Connection, event: Event[UserRegistered]) -> None:
        """Sends the welcome mail."""
        await self._mail(tx, event, event.data.user, Kind.WELCOME)

    async def registration_repeated(self, tx: Connection, event: Event[RegistrationRepeated]) -> None:
        """Mails the owner of an address that the address already has an account."""
        await self._mail(tx, event, event.data.user, Kind.REGISTRATION_REPEATED)

    async def _mail(self, tx: Connection, event: Event[Any], user: str, kind: Kind, **values: str) -> None:
        """Sends the letter of this kind to an unconfirmed address, unless it had one within a day. Sending is the last
        step before the transaction commits.

        A process that dies between the two sends the mail again, with the same Message-ID, because mail can't be sent
        exactly once. Temporary errors are raised, and the inbox retries; a mail that can never be delivered is recorded
        as such.
        """
        address = await self._users.find_address(user)
        if address is None:
            log.info("no mail sent: the user does not exist", user=user)
            return
        letter = self._letters.write(kind, **values)
        notification = Notification(
            notification_uid(event.source, event.id),
            user,
            kind,
            letter.subject,
            send_time=datetime.now(UTC),
            deliveries={Channel.EMAIL: DeliveryState.SENT},
        )
        if not await mailed_addresses.claim(tx, self._hashes.of_address(address)):
            log.info("no mail sent: the address had one within a day", user=user)
            return
        if not await notifications.insert(tx, notification):
            return
        try:
            await self._mailer.send(compose(notification, letter, sender=self._sender, recipient=address))
        except UndeliverableMail as error:
            await notifications.mark_delivered(tx, notification, Channel.EMAIL, DeliveryState.UNDELIVERABLE)
            UNDELIVERABLE.inc()
            log.warning("mail is undeliverable", user=user, notification=notification.name, reason=str(error))
