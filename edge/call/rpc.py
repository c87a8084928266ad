"""Calls of one RPC for all protocols: admission, timeouts, metadata, and the call itself."""

import contextlib
import re
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final

from edge.call.access import Access
from edge.call.allowance_table import AllowanceTable
from edge.call.concurrency_limit import ConcurrencyLimit
from edge.call.degraded_response import DegradedResponse
from edge.call.metadata import RequestHeaders, ResponseHeaders
from edge.call.timeout import timeout_s
from edge.call.trace_span import span
from edge.call.upstream import Responses, Upstream
from edge.contract.method import Method
from edge.http.access_record import AccessRecord, RpcMetrics
from edge.http.errors import http_status
from edge.http.headers import Headers
from edge.http.invalid_response import invalid_response
from edge.http.request import Request
from edge.http.request_id import REQUEST_ID
from mesh import audit
from mesh.client import UnaryResponse
from mesh.errors import MeshError, Metadata
from mesh.identity import Caller, Verifier
from mesh.rpc import CLIENT_ADDRESS, USER_AGENT

PATIENCE_S_MIN: Final = 0.01
"""The minimum timeout of a call. In less time no service can answer, so the work would be wasted."""

_USER_AGENT_BYTES_MAX: Final = 256
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e]")

# The statuses of calls that are wrong. Others are about credentials (401, 403), or have cost time or memory (408, 429).
_WRONG: Final = frozenset({400, 404, 405, 406, 409, 412, 413, 414, 415, 416})


@dataclass(frozen=True, slots=True)
class CallSettings:
    """The settings of calls of all RPCs. `timeout_s` applies to methods without a timeout in the contract, and
    `stream_timeout_s` to those of them that stream.
    """

    verifier: Verifier | None
    request_headers: RequestHeaders
    response_headers: ResponseHeaders
    timeout_s: float
    stream_timeout_s: float
    traces: bool
    calls: ConcurrencyLimit
    streams: ConcurrencyLimit
    allowances: AllowanceTable


@dataclass(slots=True)
class Admission:
    """An admitted call, and the context in which it is made: an error that says that the call was wrong takes it out of
    the caller's rate limit again, by `give_back`. `give_up_at` is the time.monotonic() second until which the client
    waits, infinity if it waits as long as the contract allows; `headers` are added to the reply.
    """

    caller: Caller
    give_up_at: float
    metadata: list[tuple[str, str | bytes]]
    headers: Headers
    give_back: Callable[[], None]

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, MeshError) and http_status(error) in _WRONG:
            self.give_back()


class Rpc:
    """The calls of one RPC by any route or protocol, which share one rate limit."""

    def __init__(self, method: Method, upstream: Upstream, settings: CallSettings) -> None:
        self.method = method
        self.degraded = DegradedResponse(method)
        self._upstream = upstream
        self._settings = settings
        self._metrics = RpcMetrics(method.name)
        self._access = Access(method, settings.verifier, settings.allowances)
        default_s = settings.stream_timeout_s if method.streams else settings.timeout_s
        self._timeout_s = method.policy.timeout_s or default_s
        self._concurrency = settings.streams if method.streams or method.policy.long_poll else settings.calls

    def start_record(self, record: AccessRecord, route: str) -> None:
        """Sets what an access record has of the RPC; called first, so that rejections count for the RPC."""
        record.metrics, record.route = self._metrics, route
        record.is_poll = self.method.policy.long_poll

    async def admit(self, request: Request, requested_s: float) -> Admission:
        """Admits a call before its body is read. `requested_s` is the timeout that the client requests by its protocol,
        or infinity. Raises MeshError.
        """
        record = request.record
        self._concurrency.check()
        authorization = request.headers.get(b"authorization", b"").decode("latin-1")
        try:
            caller = await self._access.identify(authorization)
            record.caller = caller.subject
            headers = self._access.admit(caller, request.client)
        except MeshError as error:
            audit.record_refusal(error, method=self.method.path, account=record.caller, client=request.client)
            raise
        patience_s = max(PATIENCE_S_MIN, timeout_s(request.headers, requested_s))
        give_up_at = record.started_at + patience_s  # the client's time began with its request
        metadata = self._settings.request_headers.metadata(request.headers)
        metadata.append((REQUEST_ID, record.request_id))
        if request.client.isascii() and request.client.isprintable():  # a proxy may send other text
            metadata.append((CLIENT_ADDRESS, request.client))
        if self.method.issues_tokens:  # sessions are named by it; elsewhere nobody reads it
            metadata.append((USER_AGENT, _printable(request.headers.get(b"user-agent", b""))))
        if authorization:
            metadata.append(("authorization", authorization))
        give_back = partial(self._access.give_back, caller, request.client)
        return Admission(caller, give_up_at, metadata, headers, give_back)

    def share_timeout(self, admission: Admission) -> None:
        """Gives all calls that follow together the time that the contract allows for one."""
        admission.give_up_at = min(admission.give_up_at, time.monotonic() + self._timeout_s)

    async def unary(self, admission: Admission, message: bytes) -> UnaryResponse:
        """Calls a unary method. Raises MeshError."""
        method = self.method
        with self._concurrency, self._span(admission):
            return await self._upstream.unary(
                method.path,
                message,
                timeout_s=self._timeout_s,
                patience_s=admission.give_up_at - time.monotonic(),
                metadata=admission.metadata,
                idempotent=method.idempotent,
            )

    async def collect(self, admission: Admission, messages: AsyncIterable[bytes]) -> UnaryResponse:
        """Calls a client-streaming method. Raises MeshError; HttpError 502 if the service does not return exactly one
        message.
        """
        async with self.stream(admission, messages) as responses:
            answers = aiter(responses)
            message = await anext(answers, None)
            if message is None or await anext(answers, None) is not None:
                raise invalid_response(self.method.name)
            return UnaryResponse(message, await responses.initial_metadata(), await responses.trailing_metadata())

    @contextlib.asynccontextmanager
    async def stream(self, admission: Admission, messages: AsyncIterable[bytes]) -> AsyncIterator[Responses]:
        """Calls a method of any kind; leaving the context early cancels the call. Raises MeshError, also when the
        token of the caller expires or ends.
        """
        with self._concurrency, self._span(admission):
            async with self._upstream.stream(
                self.method.path,
                messages,
                timeout_s=self._timeout_s,
                patience_s=admission.give_up_at - time.monotonic(),
                metadata=admission.metadata,
            ) as responses:
                with self._access.watching(admission.caller, responses.stop):
                    yield responses

    def response_headers(self, metadata: Metadata) -> Headers:
        """Returns the response metadata that clients see, as headers."""
        return self._settings.response_headers.headers(metadata)

    def _span(self, admission: Admission) -> AbstractContextManager[None]:
        return span(self.method.name, admission.metadata) if self._settings.traces else contextlib.nullcontext()


def _printable(value: bytes) -> str:
    """Returns the start of a header in the characters that metadata may contain."""
    return _UNPRINTABLE.sub("?", value[:_USER_AGENT_BYTES_MAX].decode("latin-1"))
