"""The edge in front of grpc-go, so that nothing depends on the habits of one implementation."""

import asyncio
import base64
from typing import Any

import pytest

from edge.http.errors import HTTP_STATUS
from mesh.errors import Code
from tests.backends.conftest import GoBackend
from tests.edge.served import Client


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"int32": -1, "int64": "-9223372036854775808", "uint64": "18446744073709551615", "bytes": "+/8="},
        {"double": "NaN", "float": 1.5, "string": "ü\u0000😀", "color": "NEGATIVE", "manyColor": ["RED", 7]},
        {"ofInt32": {"-1": 1}, "ofBool": {"true": False}, "toInner": {"a": {}}, "manyInt32": [1, -1]},
        {"oneNull": None, "value": [None, {"a": 1.5}], "struct": {"a": None}, "boolValue": False},
        {"timestamp": "2026-01-31T09:30:00.000000001Z", "duration": "-0.500s", "fieldMask": "fooBar,a.b"},
        {"any": {"@type": "type.googleapis.com/conformance.v1.Inner", "text": "a"}, "maybeString": ""},
    ],
)
async def test_what_is_sent_comes_back(client: Client, message: Any) -> None:
    """Decoded and encoded again by another implementation of Protobuf."""
    response = await client.post("/all", json=message)
    assert (response.status_code, response.json()) == (200, message)


async def test_parameters_reach_it(client: Client) -> None:
    """Query and headers too."""
    response = await client.get("/all?inner.text=a&many_int32=1&many_int32=2&ofString[k]=v")
    assert response.json() == {"inner": {"text": "a"}, "manyInt32": [1, 2], "ofString": {"k": "v"}}


async def test_a_large_message_goes_both_ways(client: Client) -> None:
    """Far beyond gRPC's usual four megabytes, and many windows of HTTP/2."""
    large = base64.b64encode(bytes(range(256)) * 64_000).decode()
    response = await client.post("/all", json={"bytes": large})
    assert (response.status_code, response.json() == {"bytes": large}) == (200, True)


@pytest.mark.parametrize("code", HTTP_STATUS)
async def test_its_errors_have_their_status_and_their_details(client: Client, code: Code) -> None:
    """Every code of google.rpc.Code; the message and the details are those of grpc-status-details-bin."""
    response = await client.post("/all", json={}, headers={"x-behave": f"error={code.value}"})
    error = response.json()["error"]
    assert (response.status_code, error["status"]) == (HTTP_STATUS[code], code.name)
    assert error["message"] == "the backend said: ü %"
    shown = {detail["@type"].rpartition(".")[2]: detail for detail in error["details"]}
    assert shown["ErrorInfo"]["metadata"] == {"shelf": "7"}
    assert [each["field"] for each in shown["BadRequest"]["fieldViolations"]] == ["manyInt32"]


async def test_metadata_and_deadlines_travel(client: Client) -> None:
    """Text and binary metadata in both directions, and grpc-timeout."""
    response = await client.post("/all", json={}, headers={"x-text": "a b", "x-raw-bin": "AP8="})
    assert response.headers["echo-x-text"] == "a b"
    assert response.headers["echo-x-raw-bin"] == "AP8="
    assert response.headers["has-deadline"] == "true"


async def test_a_deadline_that_passes_stops_it(client: Client, backend: GoBackend) -> None:
    """504 for the client, a cancelled context for the backend."""
    headers = {"x-behave": "wait", "x-server-timeout": "0.2"}
    said = asyncio.create_task(backend.says())
    while not said.done():  # a call may not get there in that time
        response = await client.post("/all", json={}, headers=headers)
        assert response.status_code == 504
    assert await said == "cancelled"


async def test_a_backend_that_ends_is_503(client: Client, backend: GoBackend) -> None:
    """Its connections are closed, and nobody listens any more."""
    assert backend.process.stdin is not None
    backend.process.stdin.close()
    await backend.process.wait()
    response = await client.post("/all", json={})
    assert (response.status_code, response.json()["error"]["status"]) == (503, "UNAVAILABLE")
