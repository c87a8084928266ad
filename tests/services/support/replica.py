"""Replicas of the support service on one database, and users who call them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self
from uuid import uuid4

from meshwright.support.v1.support_grpc import SupportServiceClient
from meshwright.support.v1.support_pb import (
    ChatMessage,
    ChatRequest,
    ChatResponse,
    CloseConversationRequest,
    Conversation,
    CreateConversationRequest,
    CreateMessageRequest,
    GetConversationRequest,
    ListConversationsRequest,
    ListMessagesRequest,
    ListMessagesResponse,
    ListParticipantsRequest,
    Participant,
    Post,
    PostResult,
    ReopenConversationRequest,
    WatchConversationRequest,
)

from mesh.database import ChangeListener, Database
from services.support import storage
from services.support.chat import Chats
from services.support.handlers import SupportHandlers
from services.support.posting import Posting
from services.support.presence import Presence
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving

CUSTOMER_SCOPES = "support.read support.write"
STAFF_SCOPES = f"{CUSTOMER_SCOPES} support.manage"
PATIENCE_S = 20.0


@dataclass
class Replica:
    """A running replica."""

    client: SupportServiceClient
    issuer: Issuer
    port: int

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, issuer: Issuer, database: Database, *, renew_every_s: float = 10.0) -> AsyncIterator[Self]:
        """Starts a replica, and drains it at the end."""
        posting = Posting(database)
        async with (
            ChangeListener(database, storage.CHANNEL) as changes,
            Presence(database, renew_every_s=renew_every_s) as presence,
            serving(issuer, SupportHandlers(database, Chats(database, changes, presence, posting), posting)) as port,
            channel_to(port, "support") as channel,
        ):
            yield cls(SupportServiceClient(channel), issuer, port)

    def user(self, subject: str, *, staff: bool = False, scopes: str | None = None) -> "User":
        """Returns a user who calls this replica."""
        return User(
            self.client, subject, self.issuer.token(subject, scopes or (STAFF_SCOPES if staff else CUSTOMER_SCOPES))
        )


@dataclass
class User:
    """A user who calls a replica."""

    client: SupportServiceClient
    subject: str
    token: str

    async def create(self, subject: str = "A blunt saw", request_id: str = "") -> Conversation:
        """Creates a conversation."""
        request = CreateConversationRequest(conversation=Conversation(subject=subject), request_id=request_id)
        with acting_with(self.token):
            return await self.client.create_conversation(request)

    async def get(self, name: str) -> Conversation:
        """Reads a conversation."""
        with acting_with(self.token):
            return await self.client.get_conversation(GetConversationRequest(name=name))

    async def names(self, size: int = 50, state: Conversation.State = Conversation.State.UNSPECIFIED) -> list[str]:
        """Returns the names of all listed conversations, page by page."""
        names, token = [], ""
        with acting_with(self.token):
            while True:
                request = ListConversationsRequest(page_size=size, page_token=token, state=state)
                response = await self.client.list_conversations(request)
                names += [each.name for each in response.conversations]
                if not (token := response.next_page_token):
                    return names

    async def close(self, name: str, etag: str = "") -> Conversation:
        """Closes a conversation."""
        with acting_with(self.token):
            return await self.client.close_conversation(CloseConversationRequest(name=name, etag=etag))

    async def reopen(self, name: str, etag: str = "") -> Conversation:
        """Reopens a conversation."""
        with acting_with(self.token):
            return await self.client.reopen_conversation(ReopenConversationRequest(name=name, etag=etag))

    async def post(self, name: str, text: str, request_id: str = "") -> ChatMessage:
        """Posts a message by a call."""
        request = CreateMessageRequest(parent=name, message=ChatMessage(text=text), request_id=request_id)
        with acting_with(self.token):
            return await self.client.create_message(request)

    async def page(self, name: str, size: int = 50, token: str = "") -> ListMessagesResponse:
        """Lists a page of messages."""
        with acting_with(self.token):
            return await self.client.list_messages(ListMessagesRequest(parent=name, page_size=size, page_token=token))

    async def participants(self, name: str) -> dict[str, Participant]:
        """Lists the participants, by user."""
        with acting_with(self.token):
            response = await self.client.list_participants(ListParticipantsRequest(parent=name))
        return {each.user: each for each in response.participants}

    @contextlib.asynccontextmanager
    async def chat(self, name: str, resume_token: str = "") -> AsyncIterator["ChatClient"]:
        """Opens a chat; leaving the context breaks it off."""
        requests: asyncio.Queue[ChatRequest | None] = asyncio.Queue()
        requests.put_nowait(ChatRequest(name=name, resume_token=resume_token))
        async with contextlib.AsyncExitStack() as stack:
            with acting_with(self.token):
                responses = await stack.enter_async_context(self.client.chat(_sent(requests)))
            yield ChatClient(responses, requests, resume_token)

    @contextlib.asynccontextmanager
    async def watch(self, name: str, resume_token: str = "") -> AsyncIterator["ChatClient"]:
        """Opens a stream without posts."""
        request = WatchConversationRequest(name=name, resume_token=resume_token)
        async with contextlib.AsyncExitStack() as stack:
            with acting_with(self.token):
                responses = await stack.enter_async_context(self.client.watch_conversation(request))
            yield ChatClient(responses, asyncio.Queue(), resume_token)


class ChatClient:
    """An open chat, and the position of the last message that it has received."""

    def __init__(
        self, responses: AsyncIterator[ChatResponse], requests: asyncio.Queue[ChatRequest | None], resume_token: str
    ) -> None:
        self._responses = responses
        self._requests = requests
        self.resume_token = resume_token

    def post(self, text: str, request_id: str = "") -> str:
        """Sends a post, and returns its request_id."""
        request_id = request_id or str(uuid4())
        self._requests.put_nowait(ChatRequest(post=Post(text=text, request_id=request_id)))
        return request_id

    def ping(self) -> None:
        """Sends a request without a post."""
        self._requests.put_nowait(ChatRequest())

    def end(self) -> None:
        """Ends the requests."""
        self._requests.put_nowait(None)

    async def next(self) -> ChatMessage | PostResult | Participant | Conversation:
        """Returns what the next response is about."""
        async with asyncio.timeout(PATIENCE_S):
            response = await anext(self._responses)
        self.resume_token = response.resume_token or self.resume_token
        assert response.event is not None
        return response.event.value

    async def message(self) -> ChatMessage:
        """Returns the next message, skipping other responses."""
        while not isinstance(event := await self.next(), ChatMessage):
            pass
        return event

    async def texts(self, count: int) -> list[str]:
        """Returns the texts of the next messages."""
        return [(await self.message()).text for _ in range(count)]

    async def result(self) -> PostResult:
        """Returns the next result of a post, skipping other responses."""
        while not isinstance(event := await self.next(), PostResult):
            pass
        return event

    async def participant(self, user: str, *, connected: bool) -> Participant:
        """Waits until a user is reported as connected, or as not connected."""
        while not (
            isinstance(event := await self.next(), Participant) and (event.user, event.connected) == (user, connected)
        ):
            pass
        return event

    async def state(self) -> Conversation.State:
        """Returns the next state that is reported."""
        while not isinstance(event := await self.next(), Conversation):
            pass
        return event.state


async def _sent(requests: "asyncio.Queue[ChatRequest | None]") -> AsyncIterator[ChatRequest]:
    while (request := await requests.get()) is not None:
        yield request
