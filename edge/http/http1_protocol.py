"""One HTTP/1.1 connection: limits on what arrives before there is a request, and what its loss means.

uvicorn's protocol on httptools reads heads of any size for any time, answers malformed ones in its own words, and lets
a call run on whose client has gone.
"""

import asyncio
import re
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from edge.http.access_record import AccessRecord
from edge.http.connection import Connection
from edge.http.connections import Connections
from edge.http.draining import Drain
from edge.http.errors import HttpError, render
from edge.http.handshake import SOCKET_KEY
from edge.http.held_bytes import HeldBytes
from edge.http.request_id import REQUEST_ID, request_id
from edge.http.stall import Stall

_ANY_KEY: Final = b"AAAAAAAAAAAAAAAAAAAAAA=="

# RFC 3986, section 3.2: host [ ":" port ].
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?",
)

UNREAD_BYTES_MAX: Final = 16 * 1024 * 1024
"""How much of a body is thrown away after the reply, so that its sender gets to read the reply."""

BODY_BYTES_AHEAD: Final = 16 * 1024
"""How much of a body is read before somebody asks for it."""

LINGER_S: Final = 2.0
"""How long a connection on which nothing is asked stays open once the server stops."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """How large a request line with its headers may be, how long its URL, and how long it may take; and how long a
    client may take nothing of what it is sent.
    """

    size_bytes_max: int
    url_bytes_max: int
    timeout_s: float
    stall_s: float


class Http1(HttpToolsProtocol):
    """uvicorn's protocol within ConnectionLimits; protocol() makes one for each server."""

    limits: ClassVar[ConnectionLimits]
    drain: ClassVar[Drain]
    held: ClassVar[HeldBytes]
    places: ClassVar[Connections]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._refusal: HttpError | None = None
        self._refused: HttpError | None = None  # waits for the replies to those before
        self._in_head = True
        self._is_between = True  # nothing of the next request is there
        self._begun = 0  # requests, in the bytes at hand
        self._head_bytes = 0  # of the headers that are complete
        self._waiting_bytes = 0  # of all that came since the head began
        self._unparsed_bytes = 0  # that the parser holds of an unfinished line
        self._unread_bytes = 0
        self._leaves = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        self._connection = Connection(transport, self.held)
        self._stall = Stall(transport, self.limits.stall_s)
        self.app_state = {**self.app_state, Connection.KEY: self._connection}
        self._connection.place = self.places.admit(self.client[0] if self.client else "", transport.abort)
        if self._connection.place is None:
            self._refuse(HttpError(503, "There are too many connections.", "OVERLOADED", retry_after_s=1))
            return
        self._connection.place.idle()
        self._await_head()
        if self.drain.leaves:
            self.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stall.end()
        super().connection_lost(exc)
        self._connection.lose()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._connection.pause()
        self._stall.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._connection.resume()
        self._stall.end()

    def leave(self) -> None:
        """The server leaves. The next reply says that it is the last one on this connection; were the connection closed
        at once, a request that is on its way would be lost (RFC 9112, section 9.6).
        """
        self._leaves = True
        if self.cycle is not None and not self.cycle.response_started:
            self._make_last(self.cycle)
        self._connection.drain()

    def shutdown(self) -> None:
        """The server stops."""
        self.leave()
        self.loop.call_later(LINGER_S, super().shutdown)

    def data_received(self, data: bytes) -> None:
        self._begun, was_between = 0, self._is_between
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._in_head:
            if self._unparsed_bytes > self.limits.size_bytes_max:
                self._refuse(self._too_large())  # a trailer, or the extension of a chunk, without an end
            return
        if not self._begun or (was_between and self._begun == 1):
            self._waiting_bytes += len(data)  # what came with the end of another request is not counted
        if self._waiting_bytes > self.limits.size_bytes_max:
            self._refuse(self._too_large())
        elif self._head_timer is None:
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._waiting_bytes, self._unparsed_bytes = True, 0, 0, 0
        self._is_between = False
        self._begun += 1
        if self._connection.place is not None and (self.cycle is None or self.cycle.response_complete):
            self._connection.place.sending()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._is_between, self._unparsed_bytes = True, 0
        self._note_waiting()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.url_bytes_max:
            text = f"The URL is longer than {self.limits.url_bytes_max} bytes."
            self._refusal = HttpError(414, text, "URL_TOO_LONG")
            raise self._refusal

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header. One that comes after a chunked body is a trailer: it counts for the limit and is dropped, as
        no trailer has a meaning here (RFC 9110, section 6.5.1).
        """
        if self._in_head:
            super().on_header(name, value)
        self._unparsed_bytes = 0
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self.limits.size_bytes_max:
            self._refusal = self._too_large()
            raise self._refusal

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_timer()
        try:
            self.drain.note_request()
        except HttpError as error:
            self._refusal = error
            raise
        if wrong := self._wrong_head():
            self._refusal = HttpError(400, wrong, "MALFORMED_REQUEST")
            raise self._refusal
        if self.parser.should_upgrade() and self._should_upgrade():
            self._connection.handshake = self._handshake()
        super().on_headers_complete()
        if self._leaves and self.cycle is not None:
            self._make_last(self.cycle)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_waiting()
        if self.pipeline:
            self.flow.pause_reading()  # or each reply would let in as many more requests as fit into one read
        if self._refused is not None:
            self._refuse(self._refused)

    def _note_waiting(self) -> None:
        """Notes whether it is the client's turn."""
        if self._connection.place is None:
            return
        if self.pipeline or self.cycle is None or not self.cycle.response_complete:
            self._connection.place.busy()
        elif self._is_between:
            self._connection.place.idle()
        else:
            self._connection.place.sending()

    def on_chunk_header(self) -> None:
        """The length of a chunk has been read."""
        self._unparsed_bytes = 0

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._unparsed_bytes = 0
        if not self.cycle.response_complete and len(self.cycle.body) > BODY_BYTES_AHEAD:
            self.flow.pause_reading()
        if self.cycle.response_complete:
            self._unread_bytes += len(body)
            if self._unread_bytes > UNREAD_BYTES_MAX:
                self.transport.close()

    def _should_upgrade(self) -> bool:
        """Whether a request wants to open a WebSocket, rightly or not. One that has a body, or no header of the
        handshake, is answered as if it had not asked (RFC 9110, section 7.8).
        """
        names = {name for name, _ in self.headers}
        upgrades = [each.strip() for name, value in self.headers if name == b"upgrade" for each in value.split(b",")]
        return (
            self._should_upgrade_to_ws()
            and b"websocket" in map(bytes.lower, upgrades)
            and self.parser.get_method() == b"GET"
            and self.parser.get_http_version() == "1.1"
            and any(name.startswith(b"sec-websocket-") for name in names)
            and names.isdisjoint((b"content-length", b"transfer-encoding"))
        )

    def _handshake(self) -> dict[str, Any]:
        """The URL and the headers of a handshake, for the scope."""
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        headers = self.headers
        return {"path": unquote(path), "raw_path": url.path, "query_string": url.query or b"", "headers": headers}

    def handle_websocket_upgrade(self) -> None:
        """Hands over to the protocol of WebSockets. Its library gets a handshake that it can only accept: what is wrong
        with the client's is for the application to say, in the shape of all errors.
        """
        self._connection.busy()
        keys = [value for name, value in self.headers if name == b"sec-websocket-key"]
        key = keys[0] if keys and SOCKET_KEY.fullmatch(keys[0]) else _ANY_KEY
        self.url = b"/"
        self.scope["headers"] = [
            *((b"host", b"-"), (b"upgrade", b"websocket"), (b"connection", b"upgrade")),
            *((b"sec-websocket-version", b"13"), (b"sec-websocket-key", key)),
        ]
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal or HttpError(400, "This is not a valid HTTP/1.1 request.", "MALFORMED_REQUEST"))

    def _wrong_head(self) -> str:
        """What is wrong with a head that httptools takes, empty if nothing is."""
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            return "The request line names no version of HTTP/1."
        if b"#" in self.url:
            return "The URL has a fragment."
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1 or (not hosts and version == "1.1"):
            return "A request has one Host header."
        if hosts and not _HOST.fullmatch(hosts[0]):
            return "The Host header is no host."
        # RFC 9112, section 6.1: such framing is faulty.
        if version == "1.0" and any(name == b"transfer-encoding" for name, _ in self.headers):
            return "HTTP/1.0 has no Transfer-Encoding."
        return ""

    def _make_last(self, cycle: Any) -> None:
        cycle.keep_alive = False
        cycle.default_headers = [*self.server_state.default_headers, *self.drain.headers()]

    def _too_large(self) -> HttpError:
        text = f"The request line and the headers are larger than {self.limits.size_bytes_max} bytes."
        return HttpError(431, text, "HEADERS_TOO_LARGE")

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.timeout_s, self._head_timed_out)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_timed_out(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._await_head()  # while those before are answered, little or nothing is read
        elif self._is_between:
            self.transport.close()
        elif self._in_head:
            text = f"The headers did not arrive within {self.limits.timeout_s:g} s."
            self._refuse(HttpError(408, text, "HEADERS_TIMEOUT"))

    def _refuse(self, error: HttpError) -> None:
        """Answers what is no request, when those before it are answered, and closes: where the next one would begin is
        not known.
        """
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if self._in_head or self.pipeline:
                self._refused = self._refused or error
                self.flow.pause_reading()
                return
            if self.cycle.response_started:
                self.transport.close()  # the reply to this request is under way: it ends where it is
                return
        elif self.cycle is not None and self.cycle.scope is self.scope and not self._is_between:
            self.transport.close()  # the request has its reply, and gets no second one
            return
        record = AccessRecord("", request_id({}), time.perf_counter(), code=error.code.name)
        record.status, headers, body = render(error)
        headers += [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
        headers.append((REQUEST_ID.encode(), record.request_id.encode()))
        if self._leaves:
            headers += self.drain.headers()
        lines = [name + b": " + value + b"\r\n" for name, value in headers]
        self.transport.write(b"".join([STATUS_LINE[record.status], *lines, b"\r\n", body]))
        self.transport.close()
        record.response_bytes = len(body)
        record.write()


def protocol(limits: ConnectionLimits, drain: Drain, held: HeldBytes, places: Connections) -> type[Http1]:
    """The protocol class of one server: its limits, its way to leave, and the budgets that its connections share."""
    return type("Http1", (Http1,), {"limits": limits, "drain": drain, "held": held, "places": places})


def can_arrive(method: str) -> bool:
    """Whether requests of this HTTP method can be read: httptools takes those of a list."""
    try:
        httptools.HttpRequestParser(object()).feed_data(f"{method} / HTTP/1.1\r\n".encode())
    except httptools.HttpParserError:
        return False
    return True
