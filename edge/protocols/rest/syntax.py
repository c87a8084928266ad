"""The three ways to write a stream of JSON messages, and how an error looks in each.

- JSON array, application/json: the error is a last element, {"error": …}, and the array is closed.
- JSON in lines, application/x-ndjson: the error is a last line.
- Server-sent events, text/event-stream: https://html.spec.whatwg.org/multipage/server-sent-events.html. The error is
  an event of its own, "error"; a stream that ends well says so with an event "end", because a browser's EventSource
  takes the end of the connection for a mishap and calls again.
"""

import json
from typing import Final, Protocol

from edge.http.errors import HttpError
from edge.http.negotiation import media_quality
from edge.http.request import JSON
from edge.protocols.rest.request_reader import LINES

EVENTS: Final = "text/event-stream"


class Syntax(Protocol):
    """Writes one stream. `opens_early` says whether readers want to know that the stream is open before it says
    anything; `heartbeat` is what means nothing, empty if all means something.
    """

    media_type: str
    opens_early: bool
    heartbeat: bytes

    def message(self, text: bytes, resume_token: str | None) -> bytes:
        """A message. `resume_token` lets a client go on after it."""

    def error(self, text: bytes, retry_after_s: float | None) -> bytes:
        """The error that the stream ends with."""

    def end(self) -> bytes:
        """The end of a stream that ended well."""


class Array:
    """A JSON array, whose elements are separated by a comma and a line feed."""

    media_type = JSON
    opens_early = False  # most who read an array read it as a whole: the status is worth more to them
    heartbeat = b""

    def __init__(self) -> None:
        self._before = b"["

    def message(self, text: bytes, resume_token: str | None) -> bytes:
        """The next element."""
        before, self._before = self._before, b",\n"
        return before + text

    def error(self, text: bytes, retry_after_s: float | None) -> bytes:
        """The last element, and the end of the array."""
        return self.message(text, None) + b"]"

    def end(self) -> bytes:
        """The end of the array."""
        return b"]" if self._before == b",\n" else b"[]"


class Lines:
    """A message in each line."""

    opens_early = True
    heartbeat = b""

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type

    def message(self, text: bytes, resume_token: str | None) -> bytes:
        """The next line."""
        return text + b"\n"

    def error(self, text: bytes, retry_after_s: float | None) -> bytes:
        """The last line."""
        return text + b"\n"

    def end(self) -> bytes:
        """Nothing."""
        return b""


class Events:
    """Server-sent events. `bare` is for clients of $alt=sse, who expect nothing but messages."""

    media_type = EVENTS
    opens_early = True
    heartbeat = b":\n\n"

    def __init__(self, *, bare: bool = False) -> None:
        self._bare = bare

    def message(self, text: bytes, resume_token: str | None) -> bytes:
        """An event, with the token as its id."""
        identified = b"" if resume_token is None else f"id: {resume_token}\n".encode()
        return identified + _data(text)

    def error(self, text: bytes, retry_after_s: float | None) -> bytes:
        """An event "error"; a browser that comes back does so after `retry_after_s`."""
        retry = b"" if retry_after_s is None else f"retry: {int(retry_after_s * 1000)}\n".encode()
        return retry + b"event: error\n" + _data(text)

    def end(self) -> bytes:
        """An event "end"."""
        return b"" if self._bare else b"event: end\n" + _data(b"{}")


def _data(text: bytes) -> bytes:
    """The text as an event's data, which has a field for each of its lines."""
    return b"data: " + text.replace(b"\n", b"\ndata: ") + b"\n\n"


def in_one_line(text: bytes) -> bytes:
    """A JSON text without line feeds, which are only between its tokens."""
    if b"\n" not in text:
        return text
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()


def choose(accept: bytes, alt: str) -> Syntax:
    """The syntax that $alt names, or that an Accept header wants most; an array if it does not care. Raises HttpError
    406 if it takes none.
    """
    if alt == "sse":
        return Events(bare=True)
    if alt == "json" or not accept or accept in (b"*/*", JSON.encode()):
        return Array()
    offered = (JSON, *LINES, EVENTS)
    wanted = max(offered, key=lambda media_type: media_quality(accept, media_type))
    if not media_quality(accept, wanted):
        text = f"This method answers a stream, as {JSON}, {LINES[0]} or {EVENTS}."
        raise HttpError(406, text, "NOT_ACCEPTABLE")
    if wanted == JSON:
        return Array()
    return Events() if wanted == EVENTS else Lines(wanted)
