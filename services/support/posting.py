"""The posting of messages, the same for calls and streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Final
from uuid import UUID
from weakref import WeakValueDictionary

from meshwright.support.v1.events_pb import MessagePosted
from protobuf.wkt import Timestamp

from mesh.database import Database
from mesh.errors import Aborted
from mesh.events import publish
from services.support import presence_storage, storage
from services.support.domain import Actor, ChatMessage, checked_text, repeated, visible_to
from services.support.erasure_storage import ERASED_USERS

SOURCE = "support"

TURN_TIMEOUT_S: Final = 3.0  # as long as a transaction waits for a lock
RETRY_AFTER_S: Final = 1.0


class Posting:
    """The posting of messages at this replica.

    Posts in one conversation take turns before they take a connection to the database. Otherwise, while another replica
    keeps the lock of a conversation, posts that wait for it would take all connections.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def post(
        self,
        uid: UUID,
        sender: Actor,
        text: str,
        request_id: str,
        *,
        field: str,
        place: AbstractAsyncContextManager[None] | None = None,
    ) -> ChatMessage:
        """Posts a message in a conversation, and publishes an event, once for each request_id that is not empty.
        Returns the message that is there afterwards. `field` is that of the text, for errors. The post of a stream has
        a `place`, which it takes with the connection to the database, and waits for its turn as long as it takes: the
        requests of the stream are not read meanwhile. A call without one raises Aborted if others take too long.

        The row of the conversation is locked, so that messages are numbered in the order of their commits.
        """
        checked_text(text, field)
        posted_as = UUID(request_id) if request_id else None
        turn_timeout_s = TURN_TIMEOUT_S if place is None else None
        async with self._turn(uid, turn_timeout_s), place or nullcontext(), self._database.transaction() as tx:
            await ERASED_USERS.check_caller(tx, sender.subject)
            conversation = visible_to(sender, await storage.find(tx, uid, lock=True))
            if posted_as is not None and (earlier := await storage.find_posted(tx, uid, sender.subject, posted_as)):
                return repeated(earlier, text)
            changed, message = conversation.post(sender, text, posted_as, datetime.now(UTC))
            await storage.insert_message(tx, message)
            await storage.update(tx, changed)
            await presence_storage.record_presence(tx, uid, sender)
            posted = MessagePosted(
                message=message.name,
                conversation=conversation.name,
                customer=conversation.customer,
                sender=message.sender,
                from_staff=message.from_staff,
                post_time=Timestamp.from_datetime(message.create_time),
            )
            await publish(tx, posted, source=SOURCE, aggregate=conversation.name)
        return message

    @asynccontextmanager
    async def _turn(self, uid: UUID, timeout_s: float | None) -> AsyncIterator[None]:
        """Waits for the turn in a conversation, which lasts until the block ends. Raises Aborted if it takes longer
        than `timeout_s`.
        """
        turn = self._turns.setdefault(uid, asyncio.Lock())
        try:
            async with asyncio.timeout(timeout_s):
                await turn.acquire()
        except TimeoutError:
            raise Aborted(
                "Earlier posts in the conversation have not ended. Try again.",
                reason="CONCURRENT_CHANGE",
                retry_after_s=RETRY_AFTER_S,
            ) from None
        try:
            yield
        finally:
            turn.release()
