"""proto2 and editions from the URL to the service and back, as Google's implementation reads what arrives."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf import json_format

from tests.conformance.dialect import Dialect
from tests.edge.backend import Backend, backend_of
from tests.edge.served import Client, edge_of

Served = tuple[Client, Backend, Dialect]


@contextlib.asynccontextmanager
async def serving(dialect: Dialect) -> AsyncIterator[Served]:
    """A client of an edge, and the service behind it."""
    async with (
        backend_of(dialect.contract.registry) as backend,
        edge_of(dialect.contract, backend.port) as client,
    ):
        yield client, backend, dialect


@pytest.fixture
async def two(proto2: Dialect) -> AsyncIterator[Served]:
    """Returns a client and the service of the contract in proto2."""
    async with serving(proto2) as served:
        yield served


@pytest.fixture
async def edition(editions: Dialect) -> AsyncIterator[Served]:
    """Returns a client and the service of the contract in edition 2023."""
    async with serving(editions) as served:
        yield served


def arrived(backend: Backend, dialect: Dialect) -> Any:
    """The JSON of what the service got."""
    message = dialect.all.FromString(backend.calls[-1].request)
    return json.loads(json_format.MessageToJson(message, descriptor_pool=dialect.pool))


async def answers(served: Served, response: bytes, url: str) -> tuple[int, Any]:
    """The status and the JSON of the reply when the service sends these bytes."""
    client, backend, _ = served

    async def answer(*_: object) -> bytes:
        return response

    backend.answer = answer
    reply = await client.get(url)
    return reply.status_code, reply.json()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("int32=0&string=", {"int32": 0, "string": ""}),
        ("closed=ONE&manyClosed=1&many_closed=NEGATIVE", None),
        ("closed=-1&manyClosed=1&manyClosed=TWO", {"closed": "NEGATIVE", "manyClosed": ["ONE", "TWO"]}),
        ("onegroup.x=1&inner.text=a", {"onegroup": {"x": 1}, "inner": {"text": "a"}}),
        ("toClosed[a]=ZERO&packed=1&packed=2", {"toClosed": {"a": "ZERO"}, "packed": [1, 2]}),
        ("all.required=5&all.int32=7", {"all": {"required": 5, "int32": 7}}),
    ],
)
async def test_proto2_by_url(two: Served, query: str, expected: dict[str, Any] | None) -> None:
    """Groups are set by their fields, defaults have presence, enums are closed; a field under two names is rejected."""
    client, backend, dialect = two
    response = await client.get(f"/all/1/2?{query}")
    if expected is None:
        assert (response.status_code, backend.calls) == (400, [])
        return
    assert response.status_code == 200
    assert arrived(backend, dialect) == response.json() == {"required": 1, "result": {"number": 2}, **expected}


@pytest.mark.parametrize(
    ("method", "url", "body", "fields"),
    [
        ("POST", "/all", "{}", {"required": "REQUIRED"}),
        ("POST", "/all", "", {"required": "REQUIRED"}),
        ("POST", "/all", '{"required": 1, "result": {}}', {"result.number": "REQUIRED"}),
        ("GET", "/all/1/2?all.int32=1", "", {"all.required": "REQUIRED"}),
        ("GET", "/all/1/2?closed=9", "", {"closed": "INVALID_VALUE"}),
        ("GET", "/all/1/2?result.number=3", "", {"result.number": "FIELD_GIVEN_TWICE"}),
        ("GET", "/all/1/2?oneInt32=1&onegroup.x=1", "", {"onegroup.x": "ONEOF_GIVEN_TWICE"}),
        ("GET", "/all/x/2", "", {"required": "INVALID_VALUE"}),
        (
            "GET",
            "/all/1/2?[conformance.two.ext_int32]=5",
            "",
            {"[conformance.two.ext_int32]": "FIELD_UNKNOWN"},
        ),
    ],
)
async def test_what_proto2_refuses_by_url(
    two: Served, method: str, url: str, body: str, fields: dict[str, str]
) -> None:
    """A request without a required field is rejected at any depth and does not reach the service."""
    client, backend, _ = two
    assert await client.violations(method, url, content=body.encode()) == fields
    assert backend.calls == []


async def test_proto2_by_body(two: Served) -> None:
    """Groups and extensions there and back."""
    client, backend, dialect = two
    body = {"required": 1, "item": [{"text": "a"}], "[conformance.two.extgroup]": {"x": 1}}
    response = await client.post("/all", json=body)
    assert arrived(backend, dialect) == response.json() == body


@pytest.mark.parametrize(
    ("response", "status", "expected"),
    [
        (b"\x08\x01", 200, {"required": 1}),
        (b"\x08\x01\x10\x07", 200, {"required": 1, "int32": 7}),
        (b"\x08\x01\x20\x09", 200, {"required": 1}),
        (b"\x08\x01\xa0\x06\x05", 200, {"required": 1, "[conformance.two.ext_int32]": 5}),
        (b"\x08\x01\x98\x3f\x05", 200, {"required": 1}),
        (b"\x08\x01\x43\x10\x02\x44", 200, None),
        (b"", 502, None),
        (b"\x08\x01\x43\x44", 502, None),
        (b"\x08\x01\x43", 502, None),
        (b"\x08\x01\x1a\x01\xff", 502, None),
    ],
)
async def test_what_services_of_proto2_answer(two: Served, response: bytes, status: int, expected: Any) -> None:
    """Unknown fields and values that a closed enum does not have are left out; what lacks a required field, or is no
    UTF-8, has no JSON.
    """
    answered, document = await answers(two, response, "/all/1/2")
    assert answered == status
    if expected is not None:
        assert document == expected
    elif status == 502:
        assert document["error"]["status"] == "INTERNAL"


async def test_edition_2023_by_url(edition: Served) -> None:
    """Presence is per field: a zero is sent only if the field has presence, and the path can hold a zero."""
    client, backend, dialect = edition
    query = "implicit=0&explicit=0&open=7&closed=CLOSED_ZERO&delimited.text=a&expanded=1&expanded=2"
    response = await client.get(f"/all/0?{query}")
    fields = {"explicit": 0, "open": 7, "closed": "CLOSED_ZERO", "delimited": {"text": "a"}, "expanded": [1, 2]}
    assert arrived(backend, dialect) == {"required": 0, **fields}
    assert response.json() == {"required": 0, **fields}
    assert b"\x43\x0a\x01a\x44" in backend.calls[-1].request, "a group on the wire"


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("closed=7", {"closed": "INVALID_VALUE"}),
        ("manyClosed=0&manyClosed=2", {"manyClosed": "INVALID_VALUE"}),
        ("manyDelimited.text=a", {"manyDelimited.text": "FIELD_UNKNOWN"}),
    ],
)
async def test_what_edition_2023_refuses_by_url(edition: Served, query: str, fields: dict[str, str]) -> None:
    """Closed enums of a file whose others are open."""
    client, backend, _ = edition
    assert await client.violations("GET", f"/all/1?{query}") == fields
    assert backend.calls == []


@pytest.mark.parametrize(
    ("response", "status", "expected"),
    [
        (b"\x18\x01\x43\x0a\x01a\x44", 200, {"required": 1, "delimited": {"text": "a"}}),
        (b"\x18\x01\x28\x09", 200, {"required": 1, "open": 9}),
        (b"\x18\x01\x30\x09", 200, {"required": 1}),
        (b"\x18\x01\x10\x00\x08\x00", 200, {"required": 1, "explicit": 0}),
        (b"\x18\x01\x43\x0a\x01\xff\x44", 502, None),
        (b"\x08\x01", 502, None),
    ],
)
async def test_what_services_of_edition_2023_answer(
    edition: Served, response: bytes, status: int, expected: Any
) -> None:
    """Delimited messages, open and closed enums, presence."""
    answered, document = await answers(edition, response, "/all/1")
    assert answered == status
    if expected is not None:
        assert document == expected
