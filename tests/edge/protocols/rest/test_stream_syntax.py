"""Streams of responses in the syntax that the client wants, and errors in each."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from edge.contract.contract import Contract
from tests.edge.backend import Backend, Context
from tests.edge.served import Client, edge_of

ARRAY, LINES, EVENTS = "application/json", "application/x-ndjson", "text/event-stream"


def events(source: Backend, *texts: str, then: grpc.StatusCode | None = None, **fields: Any) -> None:
    """Makes the backend answer with events of these texts, and then fail."""
    messages = [
        source.message("feeds.v1.Event", json.dumps({"text": text, "number": number, **fields})).to_binary()
        for number, text in enumerate(texts)
    ]

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        for message in messages:
            yield message
        if then is not None:
            await context.abort(then, "the end")

    source.stream = stream


@pytest.mark.parametrize(
    ("accept", "content_type", "body"),
    [
        (None, ARRAY, '[{"text":"a"},\n{"text":"b","number":1}]'),
        ("*/*", ARRAY, '[{"text":"a"},\n{"text":"b","number":1}]'),
        (ARRAY, ARRAY, '[{"text":"a"},\n{"text":"b","number":1}]'),
        (f"{EVENTS};q=0.5, {ARRAY}", ARRAY, '[{"text":"a"},\n{"text":"b","number":1}]'),
        (LINES, LINES, '{"text":"a"}\n{"text":"b","number":1}\n'),
        ("application/jsonl", "application/jsonl", '{"text":"a"}\n{"text":"b","number":1}\n'),
        ("application/ndjson;q=0.1", "application/ndjson", '{"text":"a"}\n{"text":"b","number":1}\n'),
        (EVENTS, EVENTS, 'data: {"text":"a"}\n\ndata: {"text":"b","number":1}\n\nevent: end\ndata: {}\n\n'),
    ],
)
async def test_accept_selects_the_syntax(
    reader: Client, source: Backend, accept: str | None, content_type: str, body: str
) -> None:
    """Without a preference the response is an array."""
    events(source, "a", "b")
    headers = {"accept": accept} if accept else {}
    response = await reader.get("/v1/feeds/x:watch", headers=headers)
    assert (response.status_code, response.headers["content-type"], response.text) == (200, content_type, body)


@pytest.mark.parametrize(
    ("accept", "body"),
    [(ARRAY, "[]"), (LINES, ""), (EVENTS, "event: end\ndata: {}\n\n")],
)
async def test_an_empty_stream(reader: Client, source: Backend, accept: str, body: str) -> None:
    """A stream without messages is complete in every syntax."""
    events(source)
    response = await reader.get("/v1/feeds/x:watch", headers={"accept": accept})
    assert (response.status_code, response.text) == (200, body)


@pytest.mark.parametrize("accept", [ARRAY, LINES, EVENTS])
async def test_an_error_before_the_first_message_is_the_status(reader: Client, source: Backend, accept: str) -> None:
    """The error has the shape of all errors in every syntax."""
    events(source, then=grpc.StatusCode.NOT_FOUND)
    response = await reader.get("/v1/feeds/x:watch", headers={"accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (404, ARRAY)
    assert response.json()["error"] == {"code": 404, "message": "the end", "status": "NOT_FOUND"}


@pytest.mark.parametrize(
    ("accept", "before", "after"),
    [
        (ARRAY, '[{"text":"a"},\n', "]"),
        (LINES, '{"text":"a"}\n', "\n"),
        (EVENTS, 'data: {"text":"a"}\n\nevent: error\ndata: ', "\n\n"),
    ],
)
async def test_an_error_after_it_is_in_the_syntax(
    reader: Client, source: Backend, accept: str, before: str, after: str
) -> None:
    """An array is closed; a failed stream does not end like a successful one."""
    events(source, "a", then=grpc.StatusCode.FAILED_PRECONDITION)
    response = await reader.get("/v1/feeds/x:watch", headers={"accept": accept})
    assert response.status_code == 200
    assert response.text.startswith(before)
    assert response.text.endswith(after)
    error = json.loads(response.text[len(before) : -len(after)])
    assert error == {"error": {"code": 400, "message": "the end", "status": "FAILED_PRECONDITION"}}


async def test_events_set_the_time_to_reconnect(reader: Client, source: Backend) -> None:
    """A browser waits for the time in the error."""
    events(source, "a", then=grpc.StatusCode.UNAVAILABLE)
    response = await reader.get("/v1/feeds/x:watch", headers={"accept": EVENTS})
    assert "\n\nretry: 1000\nevent: error\ndata: {" in response.text


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "image/*, text/plain"])
async def test_an_accept_header_without_a_stream_type_is_rejected(reader: Client, source: Backend, accept: str) -> None:
    """The request is rejected before the service is called."""
    response = await reader.get("/v1/feeds/x:watch", headers={"accept": accept})
    assert (response.status_code, source.calls) == (406, [])


@pytest.mark.parametrize(
    ("alt", "accept", "body"),
    [
        ("sse", "*/*", 'data: {"text":"a"}\n\n'),
        ("json", EVENTS, '[{"text":"a"}]'),
    ],
)
async def test_alt_wins_over_accept(reader: Client, source: Backend, alt: str, accept: str, body: str) -> None:
    """Google's clients use alt=sse and expect no events but messages."""
    events(source, "a")
    for name in ("$alt", "alt"):
        response = await reader.get(f"/v1/feeds/x:watch?{name}={alt}", headers={"accept": accept})
        assert response.text == body


@pytest.mark.parametrize("alt", ["proto", "media"])
async def test_a_stream_supports_no_other_alt(reader: Client, source: Backend, alt: str) -> None:
    """The violation names the parameter."""
    assert list(await reader.violations("GET", f"/v1/feeds/x:watch?$alt={alt}")) == ["$alt"]


async def test_system_parameters_apply_to_each_message(reader: Client, source: Backend) -> None:
    """Each line stays a single line even with prettyPrint."""
    events(source, "a", kind="KIND_LOUD")
    url = "/v1/feeds/x:watch?$fields=kind&$prettyPrint=true"
    response = await reader.get(url + "&$alt=json;enum-encoding=int")
    assert response.text == '[{\n  "kind": 1\n}]'
    response = await reader.get(url, headers={"accept": LINES})
    assert response.text == '{"kind":"KIND_LOUD"}\n'
    response = await reader.get(url, headers={"accept": EVENTS})
    assert response.text.startswith('data: {\ndata:   "kind": "KIND_LOUD"\ndata: }\n\n')


async def test_response_body_applies_to_each_message(reader: Client, source: Backend) -> None:
    """Each element is the field that response_body names."""
    events(source, "a", "", "b\n")
    response = await reader.get("/v1/feeds/x/texts", headers={"accept": LINES})
    assert response.text == '"a"\n""\n"b\\n"\n'


async def test_the_status_in_the_contract(reader: Client, source: Backend) -> None:
    """A successful stream has the status in the contract."""
    events(source, "a")
    assert (await reader.get("/v1/feeds/x:brief")).status_code == 202


async def test_resume_tokens_are_the_ids_of_events(reader: Client, source: Backend) -> None:
    """Last-Event-ID sets the token, and replaces the one in the URL that a browser repeats."""
    token = "a b\n%é"
    events(source, "a", resumeToken=token)
    response = await reader.get("/v1/feeds/x:watch", headers={"accept": EVENTS})
    event_id = response.text.partition("\n")[0].removeprefix("id: ")
    assert event_id == "a%20b%0A%25%C3%A9"
    requests = []

    async def stream(given: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
        async for request in given:
            requests.append(request)
            yield source.message("feeds.v1.Event").to_binary()

    source.stream = stream
    headers = {"accept": EVENTS, "last-event-id": event_id}
    await reader.get("/v1/feeds/x:watch?resumeToken=old", headers=headers)
    expected = source.message("feeds.v1.WatchRequest", json.dumps({"name": "feeds/x", "resumeToken": token}))
    assert requests == [expected.to_binary()]
    violations = await reader.violations("GET", "/v1/feeds/x:watch", headers={"last-event-id": "%ff"})
    assert violations == {"Last-Event-ID": "MALFORMED_HEADER"}


async def test_an_invalid_response_message_is_a_bad_gateway(reader: Client, source: Backend) -> None:
    """The error is a status before the first message, and in the syntax after it."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        if good_first:
            yield b""
        yield b"\xff\xff"

    source.stream, good_first = stream, False
    assert (await reader.get("/v1/feeds/x:watch")).status_code == 502
    good_first = True
    answer = (await reader.get("/v1/feeds/x:watch")).json()
    assert answer[0] == {}
    assert answer[1]["error"]["code"] == 502


async def test_head_sends_only_the_head(reader: Client, source: Backend) -> None:
    """HEAD ends the call when the first message has arrived."""

    async def stream(_: AsyncIterator[bytes], __: Context) -> AsyncIterator[bytes]:
        while True:
            yield b""

    source.stream = stream
    response = await reader.head("/v1/feeds/x:watch")
    assert (response.status_code, response.headers["content-type"], response.content) == (200, ARRAY, b"")
    while not source.ended:
        await asyncio.sleep(0.01)


async def test_metadata_before_the_first_message_are_headers(feeds: Contract, source: Backend) -> None:
    """Initial metadata in the allow-list is sent as headers."""

    async def stream(_: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await context.send_initial_metadata((("x-shown", "1"), ("x-hidden", "2")))
        yield b""

    source.stream = stream
    async with edge_of(feeds, source.port, response_headers="x-shown") as client:
        response = await client.get("/v1/feeds/x:watch")
    assert response.headers["x-shown"] == "1"
    assert "x-hidden" not in response.headers


async def test_vary_names_the_headers_that_select_a_stream(reader: Client, source: Backend) -> None:
    """Accept selects the syntax, and Last-Event-ID the start of a method that can resume."""
    for accept in ("*/*", "text/event-stream"):
        async with reader.stream("GET", "/v1/feeds/x:watch", headers={"accept": accept}) as response:
            names = {name.strip() for name in response.headers["vary"].split(",")}
        assert {"accept", "last-event-id"} <= names
