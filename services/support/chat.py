"""The streams of conversations: the responses of each, in their order, and the posts of its client."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from meshwright.support.v1.support_pb import ChatResponse, Post

from mesh.background import stop
from mesh.database import ChangeListener, Database
from mesh.erased_users import erased_caller
from mesh.errors import MeshError
from services.support import presence_storage, storage
from services.support.domain import Actor, uid_of, visible_to
from services.support.erasure_storage import ERASED_USERS
from services.support.messages import posted_response, rejected_response
from services.support.posting import Posting
from services.support.presence import Presence
from services.support.token_bucket import TokenBucket
from services.support.view import View, resume_of

POSTS_PER_S: Final = 10.0
POSTS_BURST: Final = 50
RESULTS_MAX: Final = 16

SPARE_CONNECTIONS: Final = 2
"""The connections to the database that streams leave to calls, however many streams read and post at once."""


class Chats:
    """The streams of conversations at this replica.

    A stream reads what is new from the database whenever it is woken, and nothing is kept for it meanwhile: a client
    that reads slowly holds back its own stream only, and any replica can continue a stream from a number of a message.
    """

    def __init__(self, database: Database, changes: ChangeListener, presence: Presence, posting: Posting) -> None:
        self._database = database
        self._changes = changes
        self._presence = presence
        self._posting = posting
        self._turns = asyncio.Semaphore(max(1, database.connections_max - SPARE_CONNECTIONS))

    async def stream(
        self, actor: Actor, name: str, resume_token: str, posts: AsyncIterator[Post]
    ) -> AsyncGenerator[ChatResponse, None]:
        """Yields what happens in a conversation, and posts what the client sends."""
        uid = uid_of(name)
        view = View(resume_of(uid, resume_token))
        with self._changes.watch(uid) as changed:
            news = await self._read(uid, actor, view, changed)
            with self._presence.connected(uid, actor):
                async with PostWriter(posts, partial(self._post, uid, actor), changed) as writer:
                    while True:
                        failure = writer.failure()
                        for response in (*news, *writer.results()):
                            yield response
                        if failure is not None:
                            raise failure
                        await changed.wait()
                        changed.clear()
                        news = await self._read(uid, actor, view, changed)

    async def _post(self, uid: UUID, actor: Actor, each: Post) -> ChatResponse:
        """Posts a message; returns the result. It waits for its turn as long as others post, instead of failing."""
        try:
            message = await self._posting.post(
                uid, actor, each.text, each.request_id, field="post.text", place=self._turns
            )
        except MeshError as error:
            return rejected_response(each.request_id, error)
        return posted_response(each.request_id, message)

    async def _read(self, uid: UUID, actor: Actor, view: View, changed: asyncio.Event) -> Sequence[ChatResponse]:
        """Returns what the view has not shown yet, at most READ_MAX messages; sets `changed` if there may be more."""
        async with self._turns, self._database.transaction() as tx:
            if await ERASED_USERS.contains(tx, actor.subject):
                raise erased_caller()
            conversation = visible_to(actor, await storage.find(tx, uid))
            participants = await presence_storage.read_participants(tx, uid)
            messages = await storage.read_messages(tx, uid, view.number)
        if len(messages) == storage.READ_MAX:
            changed.set()
        return list(view.show(conversation, participants, messages))


class PostWriter:
    """The writer of the posts of one stream, one after the other while the context lasts. While a client does not read
    the results, or posts faster than it may, its requests are not read.
    """

    def __init__(
        self, posts: AsyncIterator[Post], post: Callable[[Post], Awaitable[ChatResponse]], changed: asyncio.Event
    ) -> None:
        """`post` makes one and returns its result. `changed` is set whenever there is a result, and at the end of the
        posts.
        """
        self._posts = posts
        self._post = post
        self._changed = changed
        self._bucket = TokenBucket(burst=POSTS_BURST, per_s=POSTS_PER_S)
        self._results: asyncio.Queue[ChatResponse] = asyncio.Queue(RESULTS_MAX)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._post_all())
        self._task.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop([self._task])

    def results(self) -> Iterator[ChatResponse]:
        """Yields the results that no call has yielded yet."""
        while not self._results.empty():
            yield self._results.get_nowait()

    def failure(self) -> BaseException | None:
        """Returns the error that ended the client's requests, None if there is none."""
        return self._task.exception() if self._task.done() and not self._task.cancelled() else None

    async def _post_all(self) -> None:
        async for each in self._posts:
            await self._bucket.take()
            await self._results.put(await self._post(each))
            self._changed.set()
