"""Google's official REST clients call the edge as they call Google: every method of a few public APIs."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped] # has no stubs
from grpc_status import rpc_status  # type: ignore[import-untyped] # has no stubs

from edge.contract.contract import read
from tests.conformance.messages import Filler
from tests.conformance.rest_client import RestClient, Rpc, Rule, method_name
from tests.edge.backend import Backend, Context, Received, backend_of
from tests.edge.served import edge_of

SERVICES = (
    "google.cloud.redis_v1.services.cloud_redis",
    "google.cloud.secretmanager_v1.services.secret_manager_service",
    "google.cloud.firestore_v1.services.firestore",
    "google.cloud.firestore_admin_v1.services.firestore_admin",
)
REQUESTS_EACH = 3
TAKEN = "/v1/{parent=projects/*/databases/*/documents/*/**}/{collection_id}"
"""The URLs of this rule are those of Firestore's GetDocument, too, which was declared before."""

VARIABLE = re.compile(r"\{([^=}]+)(?:=([^}]+))?\}")
REQUEST_ID = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"


class Service:
    """A backend that records requests and answers as the test has set."""

    def __init__(self, backend: Backend) -> None:
        self.requests: list[bytes] = []
        self.answers: list[bytes] = []
        self.error: Any = None
        backend.answer, backend.stream = self._answer, self._stream

    async def _answer(self, received: Received, context: Context) -> bytes:
        self.requests.append(received.request)
        await self._fail(context)
        return self.answers[0]

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for request in requests:
            self.requests.append(request)
        await self._fail(context)
        for answer in self.answers:
            yield answer

    async def _fail(self, context: Context) -> None:
        if self.error is not None:
            await context.abort_with_status(rpc_status.to_status(self.error))


@contextlib.asynccontextmanager
async def served(rest: RestClient) -> AsyncIterator[tuple[Any, Service]]:
    """The client of an edge, and the service behind it."""
    contract = read(rest.image)
    streaming = [method.path for method in contract.methods if method.streams]
    async with backend_of(contract.registry, streaming) as backend, edge_of(contract, backend.port) as edge:
        yield rest.connected(edge.base_url.port or 0), Service(backend)


def request_of(rpc: Rpc, rule: Rule, filler: Filler) -> Message:
    """A request that this rule is for. With no update_mask the edge makes one, and with no request_id the client."""
    request: Any = rpc.request()
    body = rule.get("body", "")
    filler.fill(request, as_query=body != "*")
    if body not in ("", "*"):
        request.ClearField(body)
        filler.fill(getattr(request, body))
        getattr(request, body).SetInParent()
    for name, template in VARIABLE.findall(rule["uri"]):
        *outer, last = name.split(".")
        message = request
        for each in outer:
            message = getattr(message, each)
        setattr(message, last, filler.resource_name(template or "*"))
    fields = request.DESCRIPTOR.fields_by_name
    if "update_mask" in fields:
        filler.fill(request.update_mask)
    if "request_id" in fields:
        request.request_id = REQUEST_ID
    whole: Message = request
    return whole


def call(client: Any, rpc: Rpc, request: Message) -> list[Message]:
    """Returns the results of the client for these replies."""
    wrapped = rpc.takes(request) if hasattr(rpc.takes, "pb") else request
    answer = getattr(client, method_name(rpc.name))(request=wrapped, retry=None, timeout=30)
    if rpc.streams:
        return [type(each).pb(each) for each in answer]
    if answer is None:
        return [rpc.response()]
    if hasattr(answer, "pages"):
        answer = next(answer.pages)
    elif hasattr(answer, "operation"):
        answer = answer.operation
    return [type(answer).pb(answer) if hasattr(type(answer), "pb") else answer]


@pytest.mark.parametrize("module", SERVICES)
async def test_requests_and_answers_arrive_as_they_were(module: str) -> None:
    """Every method, by every rule of it: the service gets what the client was given, and the client what it gave."""
    rest, filler = RestClient(module), Filler(1)
    async with served(rest) as (client, service):
        for rpc in rest.rpcs:
            for rule in (each for each in rpc.rules if each["uri"] != TAKEN):
                for _ in range(REQUESTS_EACH):
                    request = request_of(rpc, rule, filler)
                    answers = [rpc.response() for _ in range(2 if rpc.streams else 1)]
                    for answer in answers:
                        filler.fill(answer)
                    service.requests.clear()
                    service.answers = [answer.SerializeToString() for answer in answers]
                    got = await asyncio.to_thread(call, client, rpc, request)
                    assert [rpc.request.FromString(each) for each in service.requests] == [request], (rpc.name, rule)
                    assert got == answers, (rpc.name, rule)


@pytest.mark.parametrize("module", SERVICES)
async def test_errors_arrive_with_their_details(module: str) -> None:
    """Every method raises the exception of the error's code, with its details."""
    rest, filler = RestClient(module), Filler(2)
    error = status_pb2.Status(code=code_pb2.FAILED_PRECONDITION, message='not "yet", Zoë')
    error.details.add().Pack(error_details_pb2.ErrorInfo(reason="STALE", domain="example.com", metadata={"k": "v"}))
    error.details.add().Pack(error_details_pb2.Help(links=[{"description": "d", "url": "https://example.com"}]))
    async with served(rest) as (client, service):
        service.error = error
        for rpc in rest.rpcs:
            with pytest.raises(BadRequest, match='not "yet", Zoë') as raised:
                await asyncio.to_thread(call, client, rpc, request_of(rpc, rpc.rules[-1], filler))
            found = raised.value
            assert (found.reason, found.domain, found.metadata) == ("STALE", "example.com", {"k": "v"}), rpc.name
            assert found.details[-1]["links"] == [{"description": "d", "url": "https://example.com"}], rpc.name
