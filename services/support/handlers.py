"""The methods of SupportService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from meshwright.support.v1.support_grpc import SupportServiceBase
from meshwright.support.v1.support_pb import ChatMessage as ChatMessageMessage
from meshwright.support.v1.support_pb import (
    ChatRequest,
    ChatResponse,
    CloseConversationRequest,
    CreateConversationRequest,
    CreateMessageRequest,
    GetConversationRequest,
    ListConversationsRequest,
    ListConversationsResponse,
    ListMessagesRequest,
    ListMessagesResponse,
    ListParticipantsRequest,
    ListParticipantsResponse,
    Post,
    ReopenConversationRequest,
    WatchConversationRequest,
)
from meshwright.support.v1.support_pb import Conversation as ConversationMessage

from mesh.database import Connection, Database
from mesh.erased_users import erased_caller
from mesh.errors import FieldViolation, invalid_fields
from mesh.idempotency import once
from mesh.pagination import read_page
from mesh.rpc import Call
from services.support import presence_storage, storage
from services.support.chat import Chats
from services.support.domain import Actor, Conversation, State, check_room, uid_of, visible_to
from services.support.erasure_storage import ERASED_USERS
from services.support.messages import chat_message, conversation_message, participant_message
from services.support.open_streams import OpenStreams
from services.support.posting import Posting
from services.support.view import resume_of

STAFF_SCOPE = "support.manage"
MESSAGES_PAGE_MAX = 200  # messages of 4,000 characters of 4 bytes fit into a response

_STATES = {
    ConversationMessage.State.UNSPECIFIED: None,
    ConversationMessage.State.OPEN: State.OPEN,
    ConversationMessage.State.CLOSED: State.CLOSED,
}


class SupportHandlers(SupportServiceBase):
    """The handlers of SupportService."""

    def __init__(self, database: Database, chats: Chats, posting: Posting) -> None:
        self._database = database
        self._chats = chats
        self._posting = posting
        self._open_streams = OpenStreams()

    async def create_conversation(self, request: CreateConversationRequest, call: Call) -> ConversationMessage:
        """Creates a conversation of the caller, once for each request_id."""
        customer = call.caller.subject
        subject = (request.conversation or ConversationMessage()).subject
        conversation = Conversation.create(uuid4(), customer, subject, datetime.now(UTC))
        async with self._database.transaction() as tx:
            return await once(tx, call, request, partial(_create, tx, conversation))

    async def get_conversation(self, request: GetConversationRequest, call: Call) -> ConversationMessage:
        """Returns a conversation of the caller, or any to staff."""
        uid = uid_of(request.name)
        async with self._database.autocommit() as connection:
            return conversation_message(visible_to(_actor(call), await storage.find(connection, uid)))

    async def list_conversations(self, request: ListConversationsRequest, call: Call) -> ListConversationsResponse:
        """Lists the conversations of the caller, or all for staff."""
        actor = _actor(call)
        customer = None if actor.staff else actor.subject
        state = _STATES[request.state]
        query = (customer or "", state.value if state else "")
        page = read_page(request.page_size, request.page_token, query=query, key_types=storage.CONVERSATION_KEY_TYPES)
        async with self._database.autocommit() as connection:
            found, next_page_token = await storage.list_conversations(connection, customer, state, page)
        return ListConversationsResponse(
            conversations=[conversation_message(each) for each in found], next_page_token=next_page_token
        )

    async def close_conversation(self, request: CloseConversationRequest, call: Call) -> ConversationMessage:
        """Closes a conversation."""
        return await self._move(request, call, State.CLOSED)

    async def reopen_conversation(self, request: ReopenConversationRequest, call: Call) -> ConversationMessage:
        """Reopens a conversation."""
        return await self._move(request, call, State.OPEN)

    async def _move(
        self, request: CloseConversationRequest | ReopenConversationRequest, call: Call, state: State
    ) -> ConversationMessage:
        uid = uid_of(request.name)
        async with self._database.transaction() as tx:
            if state is State.OPEN:  # those that open at the same time must count each other
                found = visible_to(_actor(call), await storage.find(tx, uid))
                await ERASED_USERS.lock(tx, found.customer)
            current = visible_to(_actor(call), await storage.find(tx, uid, lock=True))
            changed = current.move_to(state, request.etag, datetime.now(UTC))
            if changed is not current:
                if state is State.OPEN:
                    check_room(await storage.count_open(tx, current.customer))
                await storage.update(tx, changed)
        return conversation_message(changed)

    async def create_message(self, request: CreateMessageRequest, call: Call) -> ChatMessageMessage:
        """Posts a message, once for each request_id."""
        text = (request.message or ChatMessageMessage()).text
        uid = uid_of(request.parent)
        return chat_message(await self._posting.post(uid, _actor(call), text, request.request_id, field="message.text"))

    async def list_messages(self, request: ListMessagesRequest, call: Call) -> ListMessagesResponse:
        """Lists the messages of a conversation."""
        uid = uid_of(request.parent)
        page = read_page(
            request.page_size,
            request.page_token,
            query=(str(uid),),
            key_types=storage.MESSAGE_KEY_TYPES,
            size_max=MESSAGES_PAGE_MAX,
        )
        async with self._database.autocommit() as connection:
            visible_to(_actor(call), await storage.find(connection, uid))
            messages, next_page_token = await storage.list_messages(connection, uid, page)
        newest = messages[0].number if messages else 0
        return ListMessagesResponse(
            messages=[chat_message(each) for each in messages],
            next_page_token=next_page_token,
            resume_token=resume_of(uid).token(newest),
        )

    async def list_participants(self, request: ListParticipantsRequest, call: Call) -> ListParticipantsResponse:
        """Lists the participants of a conversation."""
        uid = uid_of(request.parent)
        page = read_page(request.page_size, request.page_token, query=(str(uid),), key_types=presence_storage.KEY_TYPES)
        async with self._database.autocommit() as connection:
            visible_to(_actor(call), await storage.find(connection, uid))
            found, next_page_token = await presence_storage.list_participants(connection, uid, page)
        return ListParticipantsResponse(
            participants=[participant_message(each) for each in found], next_page_token=next_page_token
        )

    async def chat(self, requests: AsyncIterator[ChatRequest], call: Call) -> AsyncIterator[ChatResponse]:
        """Streams a conversation, and posts what the caller sends."""
        actor = _actor(call)
        with self._open_streams.admit(actor):
            first = await anext(requests, ChatRequest())
            if not first.name:
                raise invalid_fields([FieldViolation("name", "must be given in the first request", "REQUIRED")])
            stream = self._chats.stream(actor, first.name, first.resume_token, _posts(first, requests))
            async with aclosing(stream) as responses:
                async for response in responses:
                    yield response

    async def watch_conversation(self, request: WatchConversationRequest, call: Call) -> AsyncIterator[ChatResponse]:
        """Streams a conversation."""
        actor = _actor(call)
        with self._open_streams.admit(actor):
            async with aclosing(self._chats.stream(actor, request.name, request.resume_token, _nothing())) as responses:
                async for response in responses:
                    yield response


async def _create(tx: Connection, conversation: Conversation) -> ConversationMessage:
    """Inserts a conversation. Those of one customer, and the customer's erasure, take turns."""
    await ERASED_USERS.lock(tx, conversation.customer)
    if await ERASED_USERS.contains(tx, conversation.customer):
        raise erased_caller()
    check_room(await storage.count_open(tx, conversation.customer))
    await storage.insert(tx, conversation)
    return conversation_message(conversation)


async def _posts(first: ChatRequest, requests: AsyncIterator[ChatRequest]) -> AsyncIterator[Post]:
    """Yields the posts of a chat."""
    if first.post is not None:
        yield first.post
    async for request in requests:
        if request.post is not None:
            yield request.post


async def _nothing() -> AsyncIterator[Post]:
    """Yields no posts."""
    return
    yield


def _actor(call: Call) -> Actor:
    return Actor(call.caller.subject, staff=STAFF_SCOPE in call.caller.scopes)
