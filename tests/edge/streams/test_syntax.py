"""Streams of responses in the syntax that the client wants, and what becomes of errors in each."""

import json
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from tests.edge.backend import Backend, Context
from tests.edge.served import Client

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
async def test_the_client_chooses_the_syntax(
    reader: Client, source: Backend, accept: str | None, content_type: str, body: str
) -> None:
    """By Accept; an array if it does not care."""
    events(source, "a", "b")
    headers = {"accept": accept} if accept else {}
    response = await reader.get("/v1/feeds/x:watch", headers=headers)
    assert (response.status_code, response.headers["content-type"], response.text) == (200, content_type, body)
