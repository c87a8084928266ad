"""The settings of notifications."""

import pytest

from mesh.settings import InvalidSettings, read
from services.notifications.settings import NotificationsSettings

RIGHT = {
    "JWKS_URL": "http://edge:8080/.well-known/jwks.json",
    "TOKEN_ISSUER": "http://edge:8080",
    "TOKEN_URL": "http://edge:8080/v1/oauth2/token",
    "CLIENT_ID": "notifications",
    "CLIENT_SECRET": "0123456789abcdef",
    "DATABASE_URL": "postgresql://postgres:5432/notifications",
    "BROKER_URL": "nats://nats:4222",
    "IDENTITY_ADDRESS": "identity:9000",
    "SMTP_URL": "smtp://mail:25",
    "MAIL_FROM": "Shop <shop@example.com>",
    "WEBHOOK_SIGNING_SECRET": "0123456789abcdef",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns valid values of the required variables."""
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "url", ["smtp://mail", "smtp://mail:25", "smtps://a:b@mail", "smtp://me%40x.com:a%2Fb@[::1]:587/"]
)
def test_an_smtp_url_is_accepted(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Port, login and TLS are optional."""
    monkeypatch.setenv("SMTP_URL", url)
    assert read(NotificationsSettings).smtp_url.get_secret_value() == url


@pytest.mark.parametrize(
    "url",
    [
        "mail:25",
        "http://mail",
        "smtp://",
        "smtp://mail:99999",
        "smtp://mail:x",
        "smtp://me@mail",
        "smtp://mail/x",
        "smtp://mail\n",
    ],
)
def test_a_wrong_smtp_url_is_explained(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The message names the variable and the form that its value must have."""
    assert _explanation(monkeypatch, "SMTP_URL", url).startswith(
        "SMTP_URL: must be a URL of the form smtp://host:port or smtps://"
    )


def test_a_password_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password in an invalid URL is not printed."""
    assert "hunter2" not in _explanation(monkeypatch, "SMTP_URL", "smtp://me:hunter2@mail:x")


@pytest.mark.parametrize("sender", ["shop@example.com", "Möbel & Co <shop@example.com>"])
def test_a_sender_is_accepted(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    """A sender is an address, with or without a name."""
    monkeypatch.setenv("MAIL_FROM", sender)
    assert read(NotificationsSettings).mail_from == sender


@pytest.mark.parametrize(
    "sender", ["Shop", "Shop <shop>", "a@b <c@d> e", "Shop\n <shop@example.com>", "shop@example.com\n", ""]
)
def test_a_wrong_sender_is_explained(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    """MAIL_FROM must be an address, with or without a name."""
    assert _explanation(monkeypatch, "MAIL_FROM", sender).startswith("MAIL_FROM: ")


def test_networks_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """None by default, else those that are listed."""
    assert list(read(NotificationsSettings).webhook_networks) == []
    monkeypatch.setenv("WEBHOOK_NETWORKS_ALLOWED", "127.0.0.0/8,fd00::/8")
    networks = read(NotificationsSettings).webhook_networks
    assert [str(network) for network in networks] == ["127.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize("networks", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "all"])
def test_a_wrong_network_is_explained(monkeypatch: pytest.MonkeyPatch, networks: str) -> None:
    """The message gives an example."""
    explanation = _explanation(monkeypatch, "WEBHOOK_NETWORKS_ALLOWED", networks)
    assert explanation.startswith("WEBHOOK_NETWORKS_ALLOWED: must be networks such as 10.0.0.0/8,fd00::/8")


def _explanation(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> str:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings) as caught:
        read(NotificationsSettings)
    return str(caught.value)
