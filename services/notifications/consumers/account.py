"""The consumers of events about accounts, which are mailed at once."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from meshwright.identity.v1.events_pb import (
    EmailChangeRequested,
    EmailConfirmationRequested,
    PasswordChanged,
    PasswordResetRequested,
    RegistrationRepeated,
    UserRegistered,
)
from protobuf import Message

from mesh.database import Connection, Database
from mesh.events import Event
from mesh.events.inbox import Handler
from services.notifications.clients import Recipient, Users
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.letter import Letter
from services.notifications.domain.notification import (
    Channel,
    DeliveryState,
    Kind,
    Notification,
    notification_uid,
)
from services.notifications.letters import Letters
from services.notifications.senders.mail import Mailer, UndeliverableMail, compose
from services.notifications.senders.outgoing_messages import UNDELIVERABLE
from services.notifications.storage import erased_users, mailed_addresses, notifications, user_lock

log = structlog.get_logger()


class AccountConsumers:
    """The handlers of events about accounts. Their mails are sent while the event is handled, in a transaction without
    other events, and their texts are not stored: such a text may let its reader into the account.
    """

    def __init__(
        self, database: Database, users: Users, mailer: Mailer, letters: Letters, hashes: KeyedHash, sender: str
    ) -> None:
        self._database = database
        self._users = users
        self._mailer = mailer
        self._letters = letters
        self._hashes = hashes
        self._sender = sender

    def handlers(self) -> dict[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {
            UserRegistered: self.user_registered,
            RegistrationRepeated: self.registration_repeated,
            EmailConfirmationRequested: self.email_confirmation_requested,
            EmailChangeRequested: self.email_change_requested,
            PasswordResetRequested: self.password_reset_requested,
            PasswordChanged: self.password_changed,
        }

    async def user_registered(self, tx: Connection, event: Event[UserRegistered]) -> None:
        """Sends the welcome mail, with the link that confirms the address unless that has been used or has expired."""
        link = await self._users.find_link(event.data.confirmation) if event.data.confirmation else None
        confirm = f"Please confirm that this is your address:\n\n{link.url}\n\n" if link is not None else ""
        await self._mail_user(tx, event, event.data.user, Kind.WELCOME, confirm=confirm)

    async def registration_repeated(self, tx: Connection, event: Event[RegistrationRepeated]) -> None:
        """Mails the owner of an address that the address already has an account, at most once a day."""
        recipient = await self._users.find_recipient(event.data.user)
        if recipient is not None:
            unproved = Recipient(recipient.address)  # confirmed or not: strangers cause this mail
            await self._mail(tx, event, event.data.user, unproved, Kind.REGISTRATION_REPEATED)

    async def email_confirmation_requested(self, tx: Connection, event: Event[EmailConfirmationRequested]) -> None:
        """Sends another link that confirms the address."""
        link = await self._users.find_link(event.data.confirmation)
        if link is not None:
            await self._mail_user(tx, event, event.data.user, Kind.EMAIL_CONFIRMATION, link=link.url)

    async def email_change_requested(self, tx: Connection, event: Event[EmailChangeRequested]) -> None:
        """Informs the present address, then sends the link to the new one, so that the address can't change before."""
        link = await self._users.find_link(event.data.confirmation)
        if link is not None:
            user = event.data.user
            await self._inform(tx, event, user)
            await self._mail(tx, event, user, Recipient(link.address), Kind.NEW_EMAIL_CONFIRMATION, link=link.url)

    async def password_reset_requested(self, tx: Connection, event: Event[PasswordResetRequested]) -> None:
        """Sends the link that resets the password."""
        link = await self._users.find_link(event.data.reset)
        if link is not None:
            await self._mail_user(tx, event, event.data.user, Kind.PASSWORD_RESET, link=link.url)

    async def password_changed(self, tx: Connection, event: Event[PasswordChanged]) -> None:
        """Informs the user that the password has changed."""
        await self._mail_user(tx, event, event.data.user, Kind.PASSWORD_CHANGED)

    async def _inform(self, tx: Connection, event: Event[EmailChangeRequested], user: str) -> None:
        """Informs the present address of a user that another one was given, and records that at once: the server may
        accept this mail and not the next, for as long as that is retried.
        """
        recipient = await self._users.find_recipient(user)
        if recipient is None or not await self._may_be_mailed(tx, user, recipient, Kind.EMAIL_CHANGING):
            return
        letter = self._letters.write(Kind.EMAIL_CHANGING)
        first_of_two = notification_uid(event.source, f"{event.id}/{Kind.EMAIL_CHANGING}")
        notification = _sent(first_of_two, user, Kind.EMAIL_CHANGING, letter)
        if await notifications.find(tx, notification.uid) is None:
            state = await self._send(notification, letter, recipient)
            # Not of the pool: whoever holds a connection of that must not wait for another one.
            async with self._database.session() as session:
                await notifications.insert(session, replace(notification, deliveries={Channel.EMAIL: state}))

    async def _mail_user(self, tx: Connection, event: Event[Any], user: str, kind: Kind, **values: str) -> None:
        """Sends a letter to the present address of a user, as _mail() does."""
        recipient = await self._users.find_recipient(user)
        if recipient is None:
            log.info("no mail sent: the user does not exist", user=user)
        else:
            await self._mail(tx, event, user, recipient, kind, **values)

    async def _mail(
        self, tx: Connection, event: Event[Any], user: str, recipient: Recipient, kind: Kind, **values: str
    ) -> None:
        """Sends the letter of this kind, unless the user is gone meanwhile, or the address is not confirmed and had one
        within a day; the link that resets a password has a day of its own. Sending is the last step before the
        transaction commits.

        A process that dies between the two sends the mail again, with the same Message-ID, because mail can't be sent
        exactly once. Temporary errors are raised, and the inbox retries; a mail that can never be delivered is recorded
        as such.
        """
        if not await self._may_be_mailed(tx, user, recipient, kind):
            return
        letter = self._letters.write(kind, **values)
        notification = _sent(notification_uid(event.source, event.id), user, kind, letter)
        if await notifications.insert(tx, notification):
            state = await self._send(notification, letter, recipient)
            if state is not DeliveryState.SENT:
                await notifications.mark_delivered(tx, notification, Channel.EMAIL, state)

    async def _may_be_mailed(self, tx: Connection, user: str, recipient: Recipient, kind: Kind) -> bool:
        """Locks the user. Returns False if the user is gone, or the address had its mail of the day."""
        await user_lock.share(tx, user)
        if await erased_users.contains(tx, self._hashes.of_user(user)):
            log.info("no mail sent: the user is gone", user=user)
            return False
        purpose = "reset " if kind is Kind.PASSWORD_RESET else ""
        address_hash = self._hashes.of_address(recipient.address, purpose)
        if not recipient.confirmed and not await mailed_addresses.claim(tx, address_hash):
            log.info("no mail sent: the address had one within a day", user=user)
            return False
        return True

    async def _send(self, notification: Notification, letter: Letter, recipient: Recipient) -> DeliveryState:
        """Sends a letter. Returns whether the server accepted it, or never will."""
        try:
            await self._mailer.send(compose(notification, letter, sender=self._sender, recipient=recipient.address))
        except UndeliverableMail as error:
            UNDELIVERABLE.inc()
            reason = str(error)
            log.warning("mail is undeliverable", user=notification.user, notification=notification.name, reason=reason)
            return DeliveryState.UNDELIVERABLE
        return DeliveryState.SENT


def _sent(uid: UUID, user: str, kind: Kind, letter: Letter) -> Notification:
    return Notification(
        uid, user, kind, letter.subject, send_time=datetime.now(UTC), deliveries={Channel.EMAIL: DeliveryState.SENT}
    )
