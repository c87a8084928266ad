"""Events as they travel."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from mesh.events.event import Envelope, UnauthenticEvent

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


def test_it_travels_as_a_cloud_event_in_binary_mode() -> None:
    """The headers are those of CloudEvents 1.0, the payload is the message alone."""
    assert ENVELOPE.headers() == {
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-type": "meshwright.test.v1.Note",
        "ce-source": "test",
        "ce-subject": "notes/1",
        "ce-time": "2026-01-02T03:04:05.000678+00:00",
        "ce-requestid": "case-7",
        "content-type": "application/protobuf",
        "traceparent": "00-00000000000000000000000000000abc-0000000000000def-01",
    }


@pytest.mark.parametrize("rename", [str, str.title])
def test_it_arrives_as_it_was_sent(rename: Callable[[str], str]) -> None:
    """What is received is what was sent, whatever the case of the header names."""
    headers = {rename(name): value for name, value in ENVELOPE.headers().items()}
    assert Envelope.received(headers, ENVELOPE.payload, message_id="m", subject=ENVELOPE.type) == ENVELOPE


def test_a_foreign_message_is_readable_all_the_same() -> None:
    """What is missing is filled in from the broker's own names, what the database would choke on is removed."""
    least = {"ce-type": ENVELOPE.type, "ce-source": "test"}
    bare = Envelope.received(least, b"x", message_id="STREAM/7", subject=ENVELOPE.type)
    assert (bare.id, bare.aggregate, bare.traceparent) == ("STREAM/7", "STREAM/7", None)
    odd = {
        **least,
        "ce-id": "a\0b",
        "ce-requestid": "two words",
        "ce-subject": "x" * 10_000,
        "ce-time": "0001-01-01T00:00:00+14:00",
    }
    cleaned = Envelope.received(odd, b"x", message_id="m", subject=ENVELOPE.type)
    assert (cleaned.id, len(cleaned.aggregate), cleaned.request_id) == ("ab", 256, None)
    assert cleaned.time.year > 2000


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ce-type": "meshwright.test.v1.Note"},
        {"ce-source": "test"},
        {"ce-type": "meshwright.test.v1.Note", "ce-source": "orders"},
        {"ce-type": "meshwright.test.v1.Note", "ce-source": "TEST"},
        {"ce-type": "meshwright.test.v2.Note", "ce-source": "test"},
        {"ce-type": "meshwright.orders.v1.OrderPlaced", "ce-source": "orders"},
    ],
)
def test_a_message_that_contradicts_its_subject_is_no_event(headers: dict[str, str]) -> None:
    """The subject, which the broker guards, decides; type and source have to agree."""
    with pytest.raises(UnauthenticEvent, match=r"^MESHWRIGHT/7 at meshwright\.test\.v1\.Note says that it is "):
        Envelope.received(headers, b"", message_id="MESHWRIGHT/7", subject="meshwright.test.v1.Note")
