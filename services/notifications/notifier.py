"""The notifier, which notifies users in the app and on their channels."""

from datetime import UTC, datetime
from uuid import UUID

from mesh.database import Connection
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.notification import OUTGOING, Channel, DeliveryState, Kind, Notification
from services.notifications.letters import Letters
from services.notifications.storage import erased_users, notifications, outgoing_messages, preferences, user_lock


class Notifier:
    """The one way to notify users of things that happened. Their messages leave the shop after the transaction."""

    def __init__(self, letters: Letters, hashes: KeyedHash) -> None:
        self._letters = letters
        self._hashes = hashes

    async def notify(
        self, tx: Connection, uid: UUID, user: str, kind: Kind, *, resource: str = "", **values: str
    ) -> None:
        """Notifies a user with the letter of this kind, once for each `uid`, on the channels that the user wants. Users
        who are gone are not notified, because an event may arrive after that of their deletion. What is left of their
        orders has an empty name.
        """
        if not user:
            return
        await user_lock.share(tx, user)
        if await erased_users.contains(tx, self._hashes.of_user(user)):
            return
        channels = (await preferences.find(tx, user)).channels_for(kind)
        if not channels:
            return
        outgoing = [channel for channel in OUTGOING if channel in channels]
        letter = self._letters.write(kind, **values)
        notification = Notification(
            uid,
            user,
            kind,
            letter.subject,
            send_time=datetime.now(UTC),
            text=letter.text,
            resource=resource,
            deliveries=dict.fromkeys(outgoing, DeliveryState.PENDING),
        )
        if await notifications.insert(tx, notification, in_app=Channel.IN_APP in channels):
            await outgoing_messages.add(tx, notification, outgoing)
