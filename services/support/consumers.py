"""The consumers of events."""

from collections.abc import Mapping

from meshwright.identity.v1.events_pb import UserDeleted
from protobuf import Message

from mesh.database import Connection, Database
from mesh.events import Broker, Event, Inbox
from mesh.events.inbox import Handler
from mesh.idempotency import forget_caller
from services.support import erasure_storage, storage
from services.support.posting import SOURCE


class Consumers:
    """The handlers of events: they erase users."""

    def inbox(self, database: Database, broker: Broker) -> Inbox:
        """Returns the inbox that runs the handlers, each erasure in a transaction of its own: in a batch, the second
        one would lock its user after rows that the first had locked.
        """
        return Inbox(database, broker, service=SOURCE, handlers=self.handlers(), separate={UserDeleted})

    def handlers(self) -> Mapping[type[Message], Handler]:
        """Returns the handler of each event, for the inbox."""
        return {UserDeleted: self.user_deleted}

    async def user_deleted(self, tx: Connection, event: Event[UserDeleted]) -> None:
        """Erases a user: the conversations of a customer, and the name of a member of staff in those of others. Streams
        of these conversations are woken, and end if they must not go on.
        """
        user = event.data.user
        await erasure_storage.ERASED_USERS.lock(tx, user)
        conversations = await erasure_storage.erase(tx, user)
        await forget_caller(tx, user)
        await storage.wake(tx, conversations)
