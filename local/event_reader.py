"""A reader of all events in the NATS broker of the local mesh, for the developer. Clusters have no such user."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from types import TracebackType
from typing import Final, Self

from nats.aio.client import Client
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from mesh.background import is_cancelling
from mesh.events.envelope import Envelope, UnauthenticEvent
from mesh.events.nats.cloud_events import from_headers
from mesh.events.nats.stream import STREAM
from mesh.events.nats.users import User, inbox_prefix

POLL_S: Final = 0.2
SCANNED_MAX: Final = 1000
"""The number of the stream's last positions in which past events are searched."""

_NAME: Final = "event_reader"
_INBOX: Final = inbox_prefix(_NAME)

# STREAM.MSG.GET reads a message by its position. Unlike a consumer, it leaves no state in the broker.
EVENT_READER: Final = User(
    _NAME, (f"$JS.API.STREAM.INFO.{STREAM}", f"$JS.API.STREAM.MSG.GET.{STREAM}"), (f"{_INBOX}.>",)
)
"""The user of the reader. It can neither change the stream nor publish events."""


class EventReader:
    """A connection as the user EVENT_READER. Raises nats.errors.Error or OSError if the broker is not available."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = Client()

    async def __aenter__(self) -> Self:
        await self._client.connect(self._url, name=_NAME, inbox_prefix=_INBOX.encode(), allow_reconnect=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    async def events(self, subjects: Sequence[str], past_max: int) -> AsyncGenerator[Envelope, None]:
        """Yields the last `past_max` events with one of these subjects, then each new one, forever."""
        position = max(0, await self._last_position() - SCANNED_MAX)
        past: deque[RawStreamMsg] = deque(maxlen=past_max)
        while (message := await self._next(subjects, position)) is not None:
            past.append(message)
            position = message.seq or 0
        for each in past:
            with contextlib.suppress(UnauthenticEvent):
                yield _envelope(each)
        while True:
            if (message := await self._next(subjects, position)) is None:
                await asyncio.sleep(POLL_S)
                continue
            position = message.seq or 0
            with contextlib.suppress(UnauthenticEvent):
                yield _envelope(message)

    async def _last_position(self) -> int:
        return (await self._client.jetstream().stream_info(STREAM)).state.last_seq

    async def _next(self, subjects: Sequence[str], position: int) -> RawStreamMsg | None:
        """Returns the first message after a position that has one of these subjects; None if it has not arrived yet."""
        found = [message for subject in subjects if (message := await self._next_of(subject, position)) is not None]
        if is_cancelling():
            # The client loses the cancellation if the answer comes at the same moment: wait_for() before Python 3.12.
            raise asyncio.CancelledError
        return min(found, key=lambda message: message.seq or 0, default=None)

    async def _next_of(self, subject: str, position: int) -> RawStreamMsg | None:
        try:
            return await self._client.jetstream().get_msg(STREAM, position + 1, subject, next=True)
        except NotFoundError:
            return None


def _envelope(message: RawStreamMsg) -> Envelope:
    headers = {name: str(value) for name, value in (message.headers or {}).items()}
    message_id, event_type = f"{STREAM}/{message.seq}", message.subject or ""
    return Envelope.received(from_headers(headers), message.data or b"", message_id=message_id, event_type=event_type)
