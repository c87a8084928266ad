"""Events as they travel."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from mesh.events.event import Envelope

ENVELOPE = Envelope(
    id="1",
    type="meshwright.test.v1.Note",
    source="test",
    aggregate="notes/1",
    time=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    payload=b"\x0a\x01a",
    traceparent="00-00000000000000000000000000000abc-0000000000000def-01",
)


def test_it_travels_as_a_cloud_event_in_binary_mode() -> None:
    """The headers are those of CloudEvents 1.0, the payload is the message alone."""
    assert ENVELOPE.headers() == {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-type": "meshwright.test.v1.Note",
        "ce-source": "test",
        "ce-subject": "notes/1",
        "ce-time": "2026-01-02T03:04:05.000678+00:00",
        "content-type": "application/protobuf",
        "traceparent": "00-00000000000000000000000000000abc-0000000000000def-01",
    }


@pytest.mark.parametrize("rename", [str, str.title])
def test_it_arrives_as_it_was_sent(rename: Callable[[str], str]) -> None:
    """What is received is what was sent, whatever the case of the header names."""
    headers = {rename(name): value for name, value in ENVELOPE.headers().items()}
    assert Envelope.received(headers, ENVELOPE.payload, message_id="m", message_type="t") == ENVELOPE


def test_a_foreign_message_is_readable_all_the_same() -> None:
    """What is missing is filled in from the broker's own names, what the database would choke on is removed."""
    bare = Envelope.received({}, b"x", message_id="STREAM/7", message_type="a.b.C")
    assert (bare.id, bare.type, bare.source, bare.aggregate, bare.traceparent) == (
        "STREAM/7",
        "a.b.C",
        "",
        "STREAM/7",
        None,
    )
    odd = {"ce-id": "a\0b", "ce-source": "x" * 10_000, "ce-time": "0001-01-01T00:00:00+14:00"}
    cleaned = Envelope.received(odd, b"x", message_id="m", message_type="t")
    assert (cleaned.id, len(cleaned.source)) == ("ab", 256)
    assert cleaned.time.year > 2000
