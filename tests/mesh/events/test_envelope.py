"""Events in transit."""

from datetime import UTC, datetime

import pytest

from mesh.events.envelope import Envelope, UnauthenticEvent

ENVELOPE = Envelope(
    id="1",
    type="meshwright.test.v1.Note",
    source="test",
    aggregate="notes/1",
    time=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
    payload=b"\x0a\x01a",
    traceparent="00-00000000000000000000000000000abc-0000000000000def-01",
    request_id="case-7",
)


def test_it_travels_as_a_cloud_event() -> None:
    """The attributes are those of CloudEvents 1.0, with two extensions."""
    assert ENVELOPE.attributes() == {
        "specversion": "1.0",
        "id": "1",
        "type": "meshwright.test.v1.Note",
        "source": "test",
        "subject": "notes/1",
        "time": "2026-01-02T03:04:05.000678+00:00",
        "requestid": "case-7",
        "datacontenttype": "application/protobuf",
        "traceparent": "00-00000000000000000000000000000abc-0000000000000def-01",
    }


def test_it_arrives_as_it_was_sent() -> None:
    """A received event equals the one that was sent."""
    received = Envelope.received(ENVELOPE.attributes(), ENVELOPE.payload, message_id="m", event_type=ENVELOPE.type)
    assert received == ENVELOPE


def test_a_foreign_message_is_readable() -> None:
    """Missing attributes are taken from the broker, and characters that the database rejects are removed."""
    least = {"type": ENVELOPE.type, "source": "test"}
    bare = Envelope.received(least, b"x", message_id="STREAM/7", event_type=ENVELOPE.type)
    assert (bare.id, bare.aggregate, bare.traceparent) == ("STREAM/7", "STREAM/7", None)
    bare = Envelope.received(least, b"x", message_id="a\0b" + "x" * 1000, event_type=ENVELOPE.type)
    assert (bare.id, bare.aggregate) == ("ab" + "x" * 254, bare.id)
    odd = {
        **least,
        "id": "a\0b",
        "requestid": "two words",
        "subject": "x" * 10_000,
        "time": "0001-01-01T00:00:00+14:00",
    }
    cleaned = Envelope.received(odd, b"x", message_id="m", event_type=ENVELOPE.type)
    assert (cleaned.id, len(cleaned.aggregate), cleaned.request_id) == ("ab", 256, None)
    assert cleaned.time.year > 2000


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"type": "meshwright.test.v1.Note"},
        {"source": "test"},
        {"type": "meshwright.test.v1.Note", "source": "orders"},
        {"type": "meshwright.test.v1.Note", "source": "TEST"},
        {"type": "meshwright.test.v2.Note", "source": "test"},
        {"type": "meshwright.orders.v1.OrderPlaced", "source": "orders"},
    ],
)
def test_a_message_that_contradicts_its_type_is_rejected(attributes: dict[str, str]) -> None:
    """The attributes type and source must match the type that the publisher is authorised for."""
    with pytest.raises(UnauthenticEvent, match=r"^message MESHWRIGHT/7 on meshwright\.test\.v1\.Note claims the type "):
        Envelope.received(attributes, b"", message_id="MESHWRIGHT/7", event_type="meshwright.test.v1.Note")
