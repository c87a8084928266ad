"""What a protocol adds to the lifecycle of a call: how messages are read, and how the response is written."""

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from edge.http.activity import Activity
from edge.http.draining import shutting_down
from edge.http.headers import Headers
from edge.http.reply import Reply
from mesh.client import UnaryReply
from mesh.errors import MeshError, Metadata


class Exchange:
    """One call as its protocol has it."""

    def begin(self) -> float:
        """Reads what decides on the call before there is a message. Returns the timeout in seconds that the client asks
        for in the protocol's own way. Raises MeshError.
        """
        return math.inf

    def from_service(self, error: MeshError) -> MeshError:
        """Returns the error that a service answered with as the client is to see it."""
        return error


class SingleExchange(Exchange, ABC):
    """A call that is answered with one message, as a whole."""

    @abstractmethod
    async def attempts(self) -> Sequence[Callable[[], Awaitable[bytes | AsyncIterator[bytes]]]]:
        """Reads the request. Returns what to call with, one after the other until one is not ABORTED: each gives the
        message, or the messages if the method takes many. Raises MeshError.
        """

    @abstractmethod
    def reply(self, answer: UnaryReply) -> Reply:
        """Returns the reply. Raises MeshError. May run in another thread."""

    @abstractmethod
    def fail(self, error: MeshError) -> Reply:
        """Returns the reply to a call that failed, or raises the error for the shape that all protocols share."""


class StreamResponse(Protocol):
    """Where the response of a stream is written to."""

    @property
    def started(self) -> bool:
        """Whether the head has been sent."""

    async def start(self, status: int, headers: Headers) -> bool:
        """Sends the head. Returns whether the client wants more than that."""

    async def write(self, piece: bytes) -> None:
        """Sends a piece, and returns when the client has taken most of what was sent before."""

    async def end(self) -> None:
        """Ends the response."""


class StreamExchange(Exchange, ABC):
    """A call that is answered message by message. Its response is open when the first message has come, or
    `opens_after_s` have passed: with 0 before the call is made.
    """

    opens_after_s: float | None = None
    heartbeat_s: float | None = None
    heartbeat = b""

    def __init__(self) -> None:
        self.activity = Activity()
        self.headers: Headers = []
        """Those that the head has besides its own; filled in by the driver."""

    def metadata(self) -> Metadata:
        """Returns what the service gets besides what every call has. Raises MeshError."""
        return ()

    @abstractmethod
    async def requests(self) -> AsyncGenerator[bytes, None]:
        """Returns the messages of the request. Raises MeshError, as iterating over them does."""

    @abstractmethod
    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        """Returns the status and the headers, when there is a first piece or nobody waits for it any longer."""

    @abstractmethod
    async def message(self, content: bytes) -> bytes:
        """Returns what a message of the service is for the client. Raises HttpError 502 if it is none."""

    @abstractmethod
    def end(self, trailers: Headers) -> bytes:
        """Returns what ends a response that ended well."""

    @abstractmethod
    async def fail(self, error: MeshError, response: StreamResponse) -> None:
        """Ends a response with an error. Raises the error for the shape that all protocols share, if the response has
        not started.
        """

    def stopped(self) -> MeshError:
        """Returns the error that ends the stream when the server stops."""
        return shutting_down()

    def watching(self, stop: Callable[[MeshError], None]) -> contextlib.AbstractContextManager[None]:
        """While this is entered, `stop` is called if the client does what ends the call."""
        return contextlib.nullcontext()
