"""Streams, which OpenAPI 3.1 can describe only by extensions."""

from typing import Any

LEAF, TREE = {"$ref": "#/components/schemas/shapes.v1.Leaf-Input"}, {"$ref": "#/components/schemas/shapes.v1.Tree"}
ERROR = {"$ref": "#/components/schemas/Error"}


def test_a_stream_of_answers_has_three_forms(shapes: dict[str, Any]) -> None:
    """A stream of responses is an array, NDJSON or events, of messages and the error that may end them."""
    watch = shapes["paths"]["/v1/trees:watch"]["get"]
    content = watch["responses"]["200"]["content"]
    item = {"anyOf": [TREE, ERROR]}
    assert set(content) == {"application/json", "application/x-ndjson", "text/event-stream"}
    assert content["application/json"]["schema"]["items"] == item
    assert content["application/x-ndjson"]["x-itemSchema"] == item
    assert content["text/event-stream"]["x-itemSchema"] == item
    assert "304" not in watch["responses"]
    assert "A WebSocket (RFC 6455) at this URL carries the same messages" in watch["description"]


def test_a_stream_of_requests_is_an_array_or_lines(shapes: dict[str, Any]) -> None:
    """Each element of the array is a message; the response is a single one."""
    upload = shapes["paths"]["/v1/leaves:upload"]["post"]
    content = upload["requestBody"]["content"]
    assert content["application/json"]["schema"] == {"type": "array", "items": LEAF}
    assert content["application/json"]["x-itemSchema"] == LEAF
    assert "application/x-ndjson" in upload["requestBody"]["description"]
    assert set(upload["responses"]["200"]["content"]) == {"application/json"}


def test_a_bidirectional_method_describes_its_frames(shapes: dict[str, Any]) -> None:
    """The operation has the schemas of the frames that each side sends."""
    chat = shapes["paths"]["/v1/chat"]["post"]
    assert chat["x-websocket"] == {"send": LEAF, "receive": TREE}
    assert "carries messages in both directions at the same time" in chat["description"]
    assert "x-websocket" not in shapes["paths"]["/v1/trees"]["get"]
