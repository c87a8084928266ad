"""The syntaxes of a stream of JSON messages, and the place of an error in each.

- JSON array, application/json: the error is the last element, {"error": …}, and the array is closed.
- NDJSON, application/x-ndjson: the error is the last line.
- Server-sent events, text/event-stream: https://html.spec.whatwg.org/multipage/server-sent-events.html. The error is
  an event named "error". A successful stream ends with an event named "end", because a browser's EventSource treats any
  close as a failure and reconnects.
"""

import json
from typing import Final, Protocol

from edge.http.errors import HttpError
from edge.http.negotiation import media_quality
from edge.http.request import JSON
from edge.protocols.rest.request_reader import NDJSON_TYPES

EVENTS: Final = "text/event-stream"


class Syntax(Protocol):
    """The syntax of one stream. `opens_early` says that the head is sent even if no message arrives for a while;
    `heartbeat` is a text that readers ignore, empty if the syntax has none.
    """

    media_type: str
    opens_early: bool
    heartbeat: bytes

    def message(self, text: bytes, resume_token: str | None) -> bytes:
        """Returns a message. A client can resume after it by `resume_token`."""

    def error(self, text: bytes, retry_after_s: float | None) -> bytes:
        """Returns the error that ends the stream."""

    def end(self) -> bytes:
        """Returns the end of a successful stream."""


class JsonArray:
    """A JSON array, whose elements are separated by a comma and a line feed."""

    media_type = JSON
    opens_early = False  # most clients read an array as a whole, and need the right status more than an early head
    heartbeat = b""

    def __init__(self) -> None:
        self._before = b"["

    def message(self, text: bytes, resume_token: str | None) -> bytes:
        """Returns the next element."""
        before, self._before = self._before, b",\n"
        return before + text

    def error(self, text: bytes, retry_after_s: float | None) -> bytes:
        """Returns the last element and the end of the array."""
        return self.message(text, None) + b"]"

    def end(self) -> bytes:
        """Returns the end of the array."""
        return b"]" if self._before == b",\n" else b"[]"


class NdJson:
    """NDJSON: a message in each line."""

    opens_early = True
    heartbeat = b""

    def __init__(self, media_type: str) -> None:
        self.media_type = media_type

    def message(self, text: bytes, resume_token: str | None) -> bytes:
        """Returns the next line."""
        return _to_one_line(text) + b"\n"

    def error(self, text: bytes, retry_after_s: float | None) -> bytes:
        """Returns the last line."""
        return text + b"\n"

    def end(self) -> bytes:
        """Returns no bytes."""
        return b""


class ServerSentEvents:
    """Server-sent events. `bare` leaves out the event "end", because clients of $alt=sse expect only messages."""

    media_type = EVENTS
    opens_early = True
    heartbeat = b":\n\n"

    def __init__(self, *, bare: bool = False) -> None:
        self._bare = bare

    def message(self, text: bytes, resume_token: str | None) -> bytes:
        """Returns an event, with the token as its id."""
        identified = b"" if resume_token is None else f"id: {resume_token}\n".encode()
        return identified + _data(text)

    def error(self, text: bytes, retry_after_s: float | None) -> bytes:
        """Returns an event "error", with the time after which a browser may reconnect."""
        retry = b"" if retry_after_s is None else f"retry: {int(retry_after_s * 1000)}\n".encode()
        return retry + b"event: error\n" + _data(text)

    def end(self) -> bytes:
        """Returns an event "end", no bytes if `bare`."""
        return b"" if self._bare else b"event: end\n" + _data(b"{}")


def _data(text: bytes) -> bytes:
    """Returns the text as the data of an event, which has a field for each line."""
    return b"data: " + text.replace(b"\n", b"\ndata: ") + b"\n\n"


def _to_one_line(text: bytes) -> bytes:
    """Returns a JSON text without line feeds, which can only be between its tokens."""
    if b"\n" not in text:
        return text
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()


def choose_syntax(accept: bytes, alt: str) -> Syntax:
    """Returns the syntax that $alt or else the Accept header selects, an array by default. Raises HttpError 406 if
    Accept admits none.
    """
    if alt == "sse":
        return ServerSentEvents(bare=True)
    if alt == "json" or not accept or accept in (b"*/*", JSON.encode()):
        return JsonArray()
    offered = (JSON, *NDJSON_TYPES, EVENTS)
    wanted = max(offered, key=lambda media_type: media_quality(accept, media_type))
    if not media_quality(accept, wanted):
        text = f"This method streams its responses as {JSON}, {NDJSON_TYPES[0]} or {EVENTS}."
        raise HttpError(406, text, "NOT_ACCEPTABLE")
    if wanted == JSON:
        return JsonArray()
    return ServerSentEvents() if wanted == EVENTS else NdJson(wanted)
