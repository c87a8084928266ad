"""The signatures of webhooks, verified by the library of Standard Webhooks."""

import base64
from datetime import UTC, datetime
from uuid import UUID

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from mesh.standard_webhooks import signed_headers
from services.notifications.domain.webhook_secret import WebhookSecrets, encoded

ENDPOINT = UUID(int=7)
BODY = b'{"type":"order.placed","data":{"title":"S\xc3\xa4ge"}}'


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of the specification's own tests."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    now = datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", now, b'{"test": 2432232314}', [secret])
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_can_verify_a_message() -> None:
    """With the secret in the form that the API returns; a changed body is noticed."""
    secret = WebhookSecrets("key").derive(ENDPOINT, 1)
    headers = dict(signed_headers("msg_1", datetime.now(UTC), BODY, [secret]))
    webhook = Webhook(encoded(secret))
    webhook.verify(BODY.decode(), headers)
    with pytest.raises(WebhookVerificationError):
        webhook.verify(BODY.decode().replace("order", "other"), headers)


def test_either_secret_verifies_while_both_sign() -> None:
    """A receiver that still has the previous secret accepts the message, as does one that has the new one."""
    secrets = WebhookSecrets("key")
    both = [secrets.derive(ENDPOINT, 2), secrets.derive(ENDPOINT, 1)]
    headers = dict(signed_headers("msg_1", datetime.now(UTC), BODY, both))
    for secret in both:
        Webhook(encoded(secret)).verify(BODY.decode(), headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(encoded(secrets.derive(ENDPOINT, 3))).verify(BODY.decode(), headers)


def test_secrets_differ() -> None:
    """By endpoint, version and key; the same three always give the same secret of 32 bytes."""
    derived = [
        WebhookSecrets(key).derive(endpoint, version)
        for key in ("key", "other")
        for endpoint in (ENDPOINT, UUID(int=8))
        for version in (1, 2)
    ]
    assert len(set(derived)) == 8
    assert {len(secret) for secret in derived} == {32}
    assert derived[0] == WebhookSecrets("key").derive(ENDPOINT, 1)
