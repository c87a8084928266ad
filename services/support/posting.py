"""The posting of messages, the same for calls and streams."""

from datetime import UTC, datetime
from uuid import UUID

from meshwright.support.v1.events_pb import MessagePosted
from protobuf.wkt import Timestamp

from mesh.database import Database
from mesh.events import publish
from services.support import presence_storage, storage
from services.support.domain import Actor, ChatMessage, checked_text, repeated, visible_to
from services.support.erasure_storage import ERASED_USERS

SOURCE = "support"


async def post(database: Database, uid: UUID, sender: Actor, text: str, request_id: str, *, field: str) -> ChatMessage:
    """Posts a message in a conversation, and publishes an event, once for each request_id that is not empty. Returns
    the message that is there afterwards. `field` is that of the text, for errors.

    The row of the conversation is locked, so that messages are numbered in the order of their commits.
    """
    checked_text(text, field)
    posted_as = UUID(request_id) if request_id else None
    async with database.transaction() as tx:
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
