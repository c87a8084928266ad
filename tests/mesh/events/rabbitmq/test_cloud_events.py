"""CloudEvents attributes as properties and headers of AMQP messages."""

from mesh.events.rabbitmq.cloud_events import from_message, to_headers
from mesh.events.rabbitmq.subscription import digest
from tests.mesh.events.test_envelope import ENVELOPE


def test_an_event_travels_in_binary_mode() -> None:
    """The headers are those of CloudEvents' binding for AMQP, and of W3C Trace Context."""
    assert to_headers(ENVELOPE.attributes()) == {
        "cloudEvents_specversion": "1.0",
        "cloudEvents_id": "1",
        "cloudEvents_type": "meshwright.test.v1.Note",
        "cloudEvents_source": "test",
        "cloudEvents_subject": "notes/1",
        "cloudEvents_time": "2026-01-02T03:04:05.000678+00:00",
        "cloudEvents_requestid": "case-7",
        "traceparent": "00-00000000000000000000000000000abc-0000000000000def-01",
    }


def test_it_arrives_as_it_was_sent() -> None:
    """The attributes are read back."""
    attributes = ENVELOPE.attributes()
    assert from_message(to_headers(attributes), attributes["datacontenttype"]) == attributes


def test_other_headers_are_no_attributes() -> None:
    """RabbitMQ's own headers, and values that are no text, are ignored; an attribute has one place only."""
    headers = {
        "x-death": [1],
        "cloudEvents_id": "1",
        "cloudEvents_time": 7,
        "cloudEvents_traceparent": "x",
        "cloudEvents_datacontenttype": "y",
    }
    assert from_message(headers, None) == {"id": "1"}


def test_a_message_without_an_id_is_known_by_its_content() -> None:
    """Its identifier is the same for every delivery, and another for every other message."""
    same = [digest("a.v1.A", {"x": "1", "y": "2"}, b"p"), digest("a.v1.A", {"y": "2", "x": "1"}, b"p")]
    others = [digest("a.v1.B", {}, b"p"), digest("a.v1.A", {"x": "2", "y": "2"}, b"p"), digest("a.v1.A", {}, b"q")]
    assert len(set(same)) == 1
    assert len({*same, *others}) == 4
