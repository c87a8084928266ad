"""The part of a call that depends on its protocol: how messages are read, and how the reply is written."""

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol

from edge.http.draining import shutdown_error
from edge.http.headers import Headers
from edge.http.idle_timer import IdleTimer
from edge.http.reply import Reply
from mesh.client import UnaryResponse
from mesh.errors import MeshError, Metadata

Attempt = Callable[[], Awaitable[bytes | AsyncIterator[bytes]]]
"""Reads the request of one attempt at a call: its message, or its messages if the method takes a stream. Raises
MeshError.
"""


class Exchange(ABC):
    """One call in its protocol."""

    requested_s = math.inf
    """The timeout in seconds that the client sets by the protocol's own header."""

    @abstractmethod
    def read_head(self) -> None:
        """Reads the settings of the call from the headers and the query. Raises MeshError."""

    def from_service(self, error: MeshError) -> MeshError:
        """Returns the error of a service in the form that the client gets."""
        return error


class SingleExchange(Exchange):
    """A call whose response is one message."""

    @abstractmethod
    async def attempts(self) -> Sequence[Attempt]:
        """Reads the body. Returns the attempts at the call, at least one: the driver makes the next one if the service
        rejects the etag. Raises MeshError.
        """

    @abstractmethod
    def reply(self, response: UnaryResponse) -> Reply:
        """Returns the reply. Raises MeshError. May run in another thread."""

    @abstractmethod
    def fail(self, error: MeshError) -> Reply:
        """Returns the reply to a call that failed, or raises the error, which is then rendered as for REST."""


class StreamReplyWriter(Protocol):
    """The writer of a reply that is written message by message."""

    started: bool
    """Whether the head has been sent."""

    async def start(self, status: int, headers: Headers) -> bool:
        """Sends the head. Returns False if the client wants nothing more, as with HEAD."""

    async def write(self, piece: bytes) -> None:
        """Writes a piece, which may wait for flush() or end()."""

    async def flush(self) -> None:
        """Sends what has been written, and waits until the client has received most of what was sent before."""

    async def end(self) -> None:
        """Ends the reply."""


class StreamExchange(Exchange):
    """A call whose reply is written message by message. The reply starts with the first message, or when
    `opens_after_s` have passed; with 0 it starts before the call is made.
    """

    opens_after_s: float | None = None
    heartbeat_s: float | None = None
    heartbeat = b""
    """The piece that is written whenever no message has come for `heartbeat_s`."""

    def __init__(self) -> None:
        self.idle_timer = IdleTimer()
        self.headers: Headers = []
        """The headers that the driver adds to those of head()."""

    def metadata(self) -> Metadata:
        """Returns the metadata that this call has besides that of every call. Raises MeshError."""
        return ()

    @abstractmethod
    async def requests(self) -> AsyncGenerator[bytes, None]:
        """Returns the messages of the request. Raises MeshError, as iterating over them does."""

    @abstractmethod
    def head(self, metadata: Metadata) -> tuple[int, Headers]:
        """Returns the status and the headers. `metadata` is empty if the reply starts before the first message."""

    @abstractmethod
    async def message(self, content: bytes) -> bytes:
        """Returns a response message as the client reads it. Raises HttpError 502 if the service sent an invalid
        one.
        """

    @abstractmethod
    def end(self, trailers: Headers) -> bytes:
        """Returns the end of a successful reply."""

    @abstractmethod
    async def fail(self, error: MeshError, writer: StreamReplyWriter) -> None:
        """Ends the reply with an error. May raise the error if the reply has not started; it is then rendered as
        for REST.
        """

    def stopped(self) -> MeshError:
        """Returns the error that ends the stream when the server stops."""
        return shutdown_error()

    def watching(self, stop: Callable[[MeshError], None]) -> contextlib.AbstractContextManager[None]:
        """Returns a context in which `stop` is called if the client does something that ends the call."""
        return contextlib.nullcontext()
