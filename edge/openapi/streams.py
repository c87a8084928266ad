"""Bodies that are streams of messages.

OpenAPI 3.1 can only describe a body of a single value. The media type of a stream therefore has the schema of one
message beside its own, as `x-itemSchema`; OpenAPI 3.2 calls it itemSchema.
"""

from typing import Any, Final

from edge.http.request import JSON
from edge.openapi.json_schema import Schema

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


def response_content(message: Schema, error: Schema) -> dict[str, Any]:
    """Returns the content of a response that is a stream of messages. Accept selects the media type."""
    item = {"anyOf": [message, error]}
    lines = {"type": "string", "description": f"Messages as JSON, one in each line. {_FAILED}"}
    events = {
        "type": "string",
        "description": "An event for each message, with the message as JSON in its data; then an event named end, or "
        "one named error if the call fails after the first message.",
    }
    return {
        JSON: {"schema": {"type": "array", "items": item, "description": _FAILED}},
        NDJSON: {"schema": lines, "x-itemSchema": item},
        EVENTS: {"schema": events, "x-itemSchema": item},
    }
