"""Bodies that are streams of messages.

OpenAPI 3.1 can only describe a body of a single value. The media type of a stream therefore has the schema of one
message beside its own, as `x-itemSchema`; OpenAPI 3.2 calls it itemSchema.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from edge.http.request import JSON
from edge.openapi.json_schema import Schema, media_type

NDJSON: Final = "application/x-ndjson"
EVENTS: Final = "text/event-stream"

WEBSOCKET: Final = (
    "A WebSocket (RFC 6455) at this URL carries messages in both directions at the same time, as JSON in text frames. "
    "The close code holds the status of the call."
)
AS_WEBSOCKET: Final = "A WebSocket (RFC 6455) at this URL carries the same messages, each in a text frame."

_FAILED: Final = "If the call fails after the first message, the last one is an error."


def request_body(message: Schema, sample: Any) -> dict[str, Any]:
    """Returns the Request Body Object of a stream of messages. NDJSON has no media type of its own there, because
    generators have no type for it in a request. `sample` is one message, None if no sample is known.
    """
    example = {} if sample is None else {"example": [sample]}
    return {
        "description": f"The messages as a JSON array, or as {NDJSON}, one in each line.",
        "content": {JSON: {"schema": {"type": "array", "items": message}, "x-itemSchema": message, **example}},
    }


@dataclass(frozen=True, slots=True)
class StreamSample:
    """A sample of a stream of one message, with the id that the message has as a server-sent event, if it has one."""

    message: Any
    event_id: str | None

    def in_media_types(self) -> dict[str, Any]:
        """Returns the stream in each media type."""
        line = json.dumps(self.message, separators=(",", ":"), ensure_ascii=False)
        identified = "" if self.event_id is None else f"id: {self.event_id}\n"
        return {
            JSON: [self.message],
            NDJSON: f"{line}\n",
            EVENTS: f"{identified}data: {line}\n\nevent: end\ndata: {{}}\n\n",
        }


def response_content(message: Schema, error: Schema, sample: StreamSample | None) -> dict[str, Any]:
    """Returns the content of a response that is a stream of messages. Accept selects the media type. `sample` is None
    if none is known.
    """
    item = {"anyOf": [message, error]}
    lines = {"type": "string", "description": f"Messages as JSON, one in each line. {_FAILED}"}
    events = {
        "type": "string",
        "description": "An event for each message, with the message as JSON in its data; then an event named end, or "
        "one named error if the call fails after the first message.",
    }
    array = {"type": "array", "items": item, "description": _FAILED}
    samples = {} if sample is None else sample.in_media_types()
    return {
        JSON: media_type(array, samples.get(JSON)),
        NDJSON: {**media_type(lines, samples.get(NDJSON)), "x-itemSchema": item},
        EVENTS: {**media_type(events, samples.get(EVENTS)), "x-itemSchema": item},
    }
