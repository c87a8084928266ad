"""The consumer of deleted users: what is stored about them is erased."""

from meshwright.identity.v1.events_pb import UserDeleted
from protobuf import Message

from mesh.database import Connection
from mesh.events import Event
from mesh.events.inbox import Handler
from mesh.idempotency import forget_caller
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.storage import (
    erased_users,
    notifications,
    phone_codes,
    preferences,
    user_lock,
    webhook_endpoints,
    webhook_messages,
)


class ErasureConsumers:
    """The handler of UserDeleted."""

    def __init__(self, hashes: KeyedHash) -> None:
        self._hashes = hashes

    def handlers(self) -> dict[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {UserDeleted: self.user_deleted}

    async def user_deleted(self, tx: Connection, event: Event[UserDeleted]) -> None:
        """Deletes the user's notifications, preferences, webhook endpoints and answers, and messages about the user's
        orders.
        Remembers as keyed hashes that the user is gone, and that the address had its mail of this day.
        """
        user = event.data.user
        await user_lock.take(tx, user)
        await erased_users.add(tx, self._hashes.of_user(user))
        await notifications.delete_of(tx, user)
        await preferences.delete_of(tx, user)
        await phone_codes.delete_of(tx, user)
        await webhook_endpoints.delete_of(tx, user)
        await webhook_messages.delete_of(tx, user)
        await forget_caller(tx, user)  # last: calls that had locked an endpoint have stored their answers by now
