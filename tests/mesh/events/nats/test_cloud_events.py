"""CloudEvents attributes as headers of NATS messages."""

from collections.abc import Callable

import pytest

from mesh.events.nats.cloud_events import from_headers, to_headers
from tests.mesh.events.test_envelope import ENVELOPE


def test_an_event_travels_in_binary_mode() -> None:
    """The headers are those of CloudEvents 1.0 and of W3C Trace Context."""
    assert to_headers(ENVELOPE.attributes()) == {
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
    """The attributes are read back, regardless of the case of header names."""
    headers = {rename(name): value for name, value in to_headers(ENVELOPE.attributes()).items()}
    assert from_headers(headers) == ENVELOPE.attributes()


def test_other_headers_are_no_attributes() -> None:
    """NATS's own headers are ignored, and an attribute with a header of its own is read only from that."""
    headers = {"Nats-Msg-Id": "1", "ce-traceparent": "x", "ce-datacontenttype": "y", "ce-id": "1"}
    assert from_headers(headers) == {"id": "1"}
