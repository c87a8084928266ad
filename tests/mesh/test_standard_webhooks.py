"""Verification of webhooks that are signed by Standard Webhooks."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from mesh.standard_webhooks import SIGNATURE_HEADERS, SignatureInvalid, signed_headers, verify

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET, OTHER = b"s" * 32, b"o" * 32
BODY = b'{"charge":"7"}'
SIGNED = signed_headers("msg_7", NOW, BODY, [SECRET])


def test_what_a_sender_signed_is_accepted() -> None:
    """Its id is returned, also if another secret signed too, in either place."""
    assert verify(SIGNED, NOW, BODY, [OTHER, SECRET]) == "msg_7"
    assert verify(signed_headers("msg_7", NOW, BODY, [OTHER, SECRET]), NOW, BODY, [SECRET]) == "msg_7"


def test_what_the_library_signs_is_accepted() -> None:
    """The library of Standard Webhooks makes the same signatures."""
    signature = Webhook(SECRET).sign("msg_7", NOW, BODY.decode())
    assert verify({**SIGNED, "webhook-signature": signature}, NOW, BODY, [SECRET]) == "msg_7"


@pytest.mark.parametrize("name", SIGNATURE_HEADERS)
def test_a_missing_header_is_named(name: str) -> None:
    """Without it nothing is proven."""
    headers = {each: value for each, value in SIGNED.items() if each != name}
    with pytest.raises(SignatureInvalid, match=name):
        verify(headers, NOW, BODY, [SECRET])


@pytest.mark.parametrize(
    ("changed", "now", "body", "secret"),
    [
        ({"webhook-id": "msg_8"}, NOW, BODY, SECRET),
        ({"webhook-timestamp": str(int(NOW.timestamp()) + 1)}, NOW, BODY, SECRET),
        ({"webhook-timestamp": "now"}, NOW, BODY, SECRET),
        ({"webhook-timestamp": "9" * 5000}, NOW, BODY, SECRET),
        ({"webhook-signature": "v1,"}, NOW, BODY, SECRET),
        ({"webhook-signature": "v1,no base64 v2,AAAA"}, NOW, BODY, SECRET),
        ({}, NOW, BODY + b" ", SECRET),
        ({}, NOW, BODY, OTHER),
        ({}, NOW + timedelta(minutes=6), BODY, SECRET),
        ({}, NOW - timedelta(minutes=6), BODY, SECRET),
    ],
)
def test_anything_else_is_refused(changed: Mapping[str, str], now: datetime, body: bytes, secret: bytes) -> None:
    """Another id, time, body or secret is rejected, and a text that is not a signature."""
    with pytest.raises(SignatureInvalid):
        verify({**SIGNED, **changed}, now, body, [secret])


def test_an_endless_id_is_refused() -> None:
    """Receivers store ids, so they have a limit."""
    longest = "m" * 256
    assert verify(signed_headers(longest, NOW, BODY, [SECRET]), NOW, BODY, [SECRET]) == longest
    with pytest.raises(SignatureInvalid, match="webhook-id"):
        verify(signed_headers(longest + "m", NOW, BODY, [SECRET]), NOW, BODY, [SECRET])
