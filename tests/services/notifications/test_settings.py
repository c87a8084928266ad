"""The settings of notifications."""

from typing import Any

import pytest
from pydantic import ValidationError

from mesh.settings import explain
from services.notifications.settings import NotificationsSettings

RIGHT = {
    "jwks_url": "http://edge:8080/.well-known/jwks.json",
    "token_issuer": "http://edge:8080",
    "token_url": "http://edge:8080/v1/oauth2/token",
    "client_id": "notifications",
    "client_secret": "0123456789abcdef",
    "database_url": "postgresql://postgres:5432/notifications",
    "nats_url": "nats://nats:4222",
    "identity_address": "identity:9000",
    "smtp_url": "smtp://mail:25",
    "mail_from": "Shop <shop@example.com>",
}


@pytest.mark.parametrize(
    "url", ["smtp://mail", "smtp://mail:25", "smtps://a:b@mail", "smtp://me%40x.com:a%2Fb@[::1]:587/"]
)
def test_an_smtp_url_is_taken(url: str) -> None:
    """With or without port, login and TLS."""
    assert NotificationsSettings.model_validate(RIGHT | {"smtp_url": url}).smtp_url == url


@pytest.mark.parametrize(
    "url",
    ["mail:25", "http://mail", "smtp://", "smtp://mail:99999", "smtp://mail:x", "smtp://me@mail", "smtp://mail/x"],
)
def test_a_wrong_smtp_url_is_explained(url: str) -> None:
    """The sentence names the variable and the form that its value must have."""
    assert _explanation(smtp_url=url).startswith("SMTP_URL: must be a URL of the form smtp://host:port or smtps://")


def test_a_password_is_not_repeated() -> None:
    """Whatever is wrong with the URL, its password does not go to standard error."""
    assert "hunter2" not in _explanation(smtp_url="smtp://me:hunter2@mail:x")


def test_a_wrong_sender_is_explained() -> None:
    """MAIL_FROM must be an address, with or without a name."""
    assert _explanation(mail_from="Shop").startswith("MAIL_FROM: ")


def _explanation(**wrong: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        NotificationsSettings.model_validate(RIGHT | wrong)
    return explain(NotificationsSettings, caught.value).splitlines()[1]
