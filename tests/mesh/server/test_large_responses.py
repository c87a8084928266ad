"""Responses that are larger than clients accept."""

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import structlog.testing

from mesh.errors import ResourceExhausted
from mesh.rpc import Call
from mesh.telemetry.metrics import SERVER_CALLS
from tests.given_token import GivenToken
from tests.issuer import Issuer
from tests.mesh.servers import WHISPER, channel_to
from tests.mesh.servers import serving as serving_greeter
from tests.mesh.stream_service import Streams, serving


async def test_a_response_that_is_too_large_is_an_error(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """It is the service's fault, and its log says so."""

    async def count(_request: Any, _call: Call) -> AsyncIterator[Any]:
        yield greeter.pb.GreetResponse(text="x" * 5_000_000)

    async with serving(greeter, issuer, Streams(greeter, count=count)) as (_, client):
        with structlog.testing.capture_logs() as logs, pytest.raises(ResourceExhausted):
            async with client.count(greeter.pb.GreetRequest(name="Ada")) as responses:
                await anext(responses)
    (found,) = [each for each in logs if each["event"] == "response too large"]
    assert (found["log_level"], found["method"]) == ("error", "/greeter.v1.StreamService/Count")


async def test_a_response_that_is_too_large_counts_as_an_error(greeter: SimpleNamespace, issuer: Issuer) -> None:
    """The metrics and the log of the service have the code that the client gets."""

    async def handle(_request: Any, _call: Call) -> Any:
        return greeter.pb.GreetResponse(text="x" * 5_000_000)

    tokens = GivenToken(issuer.token("workloads/robot"))
    failed = SERVER_CALLS.labels(WHISPER, "RESOURCE_EXHAUSTED")._value
    before = failed.get()
    with structlog.testing.capture_logs() as logs:
        async with (
            serving_greeter(greeter, issuer, handle) as server,
            channel_to(server, tokens=tokens, caller="robot") as channel,
        ):
            with pytest.raises(ResourceExhausted) as caught:
                await greeter.grpc.GreeterServiceClient(channel).whisper(greeter.pb.GreetRequest(name="Ada"))
    assert (caught.value.reason, failed.get() - before) == ("RESPONSE_TOO_LARGE", 1)
    assert [each["code"] for each in logs if each["event"] == "call"] == ["RESOURCE_EXHAUSTED"]
