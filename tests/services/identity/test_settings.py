"""The settings of identity: errors name the variable."""

import json

import pytest

from mesh.settings import load
from services.identity.browser_clients import BrowserClients
from services.identity.settings import IdentitySettings

RIGHT = {
    "DATABASE_URL": "postgresql://identity@localhost/identity",
    "BROKER_URL": "nats://localhost",
    "JWKS_URL": "http://localhost/.well-known/jwks.json",
    "TOKEN_ISSUER": "http://localhost",
    "KEY_ENCRYPTION_SECRET": "0123456789abcdef0123456789abcdef",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Returns valid values of the required variables."""
    for name, value in RIGHT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_defaults_are_those_of_the_documentation(environment: pytest.MonkeyPatch) -> None:
    """Access tokens of 15 minutes, refresh tokens and signing keys of 30 days; no clients, no staff."""
    settings = load(IdentitySettings)
    assert settings.access_token_lifetime_s == 900
    assert settings.refresh_token_lifetime.days == settings.signing_key_rotation.days == 30
    assert (settings.service_clients, settings.staff_email, settings.staff_password) == ({}, None, None)


def test_clients_and_staff_are_read(environment: pytest.MonkeyPatch) -> None:
    """SERVICE_CLIENTS is a JSON object of identifiers and secrets."""
    environment.setenv("SERVICE_CLIENTS", '{"orders": "0123456789-._~abc"}')
    environment.setenv("STAFF_EMAIL", "staff@example.com")
    environment.setenv("STAFF_PASSWORD", "a long password")
    settings = load(IdentitySettings)
    assert settings.service_clients["orders"].get_secret_value() == "0123456789-._~abc"
    assert settings.staff_email == "staff@example.com"
    assert "0123456789-._~abc" not in repr(settings)


def test_browser_clients_are_read(environment: pytest.MonkeyPatch) -> None:
    """Redirect URIs have TLS, lead to this machine, or are pages of the mesh, which its public URL precedes."""
    uris = [
        "https://shop.example.com",
        "https://shop.example.com:8443/signed-in?from=shop",
        "http://127.0.0.1:3000/",
        "http://[::1]:3000/",
        "http://localhost/",
        "/signed-in",
    ]
    environment.setenv("BROWSER_CLIENTS", json.dumps({"shop": uris, "none": []}))
    settings = load(IdentitySettings)
    assert settings.browser_clients == {"shop": uris, "none": []}
    clients = BrowserClients(settings.browser_clients, "https://mesh.example.com/")
    expected = [*uris[:-1], "https://mesh.example.com/signed-in"]
    assert [uri for uri in expected if not clients.allows("shop", uri)] == []
    assert not clients.allows("shop", "/signed-in")
    assert not clients.allows("none", expected[0])
    assert not clients.allows("another", expected[0])


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KEY_ENCRYPTION_SECRET", "short", "KEY_ENCRYPTION_SECRET: "),
        ("TOKEN_ISSUER", "shop.example.com", "TOKEN_ISSUER: must be a URL"),
        ("SERVICE_CLIENTS", "{bad", "SERVICE_CLIENTS: must be a JSON object of"),
        ("SERVICE_CLIENTS", "[]", "SERVICE_CLIENTS: "),
        (
            "SERVICE_CLIENTS",
            '{"orders": "short"}',
            "SERVICE_CLIENTS: must be a JSON object of client ids",
        ),
        (
            "SERVICE_CLIENTS",
            '{"orders": "with a blank and a +"}',
            "SERVICE_CLIENTS: must be a JSON object of client ids",
        ),
        ("SERVICE_CLIENTS", '{"Or/ders": "0123456789abcdef"}', "SERVICE_CLIENTS: "),
        ("STAFF_EMAIL", "staff@example.com", "STAFF_EMAIL and STAFF_PASSWORD must both be set, or neither"),
        ("SERVICE_CLIENTS", '{"orders": "0123456789abcdef\\n"}', "SERVICE_CLIENTS: "),
        ("BROWSER_CLIENTS", "{bad", "BROWSER_CLIENTS: must be a JSON object of client ids and lists"),
        ("BROWSER_CLIENTS", '["shop"]', "BROWSER_CLIENTS: "),
        ("BROWSER_CLIENTS", '{"shop": "https://shop.example.com/"}', "BROWSER_CLIENTS: "),
        ("BROWSER_CLIENTS", '{"The shop": ["https://shop.example.com/"]}', "BROWSER_CLIENTS: "),
        *(
            ("BROWSER_CLIENTS", json.dumps({"shop": [uri]}), "BROWSER_CLIENTS: ")
            for uri in (
                "http://shop.example.com/",  # without TLS
                "http://localhost.example.com/",
                "https://shop.example.com/#fragment",
                "https://user@shop.example.com/",
                "https://*.example.com/",
                "https://shop.example.com/a b",
                "https://shop.example.com/<script>",
                "javascript:alert(1)",
                "shop://signed-in",
                "//shop.example.com/",
                "signed-in",
                "",
                f"https://shop.example.com/{'a' * 2000}",
            )
        ),
        ("STAFF_EMAIL", "staff", "STAFF_EMAIL: "),
        ("STAFF_EMAIL", f"{'a' * 65}@example.com", "STAFF_EMAIL: must be an address"),
        ("STAFF_PASSWORD", "short", "STAFF_PASSWORD: "),
        ("ACCESS_TOKEN_LIFETIME_S", "86400", "ACCESS_TOKEN_LIFETIME_S: "),
        ("SIGNING_KEY_ROTATION_S", "60", "SIGNING_KEY_ROTATION_S: "),
        ("PASSWORD_WORKERS", "0", "PASSWORD_WORKERS: "),
    ],
)
def test_a_wrong_variable_is_named(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, said: str
) -> None:
    """The process stops with status 2 and a message that names the variable; the value is not repeated."""
    environment.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        load(IdentitySettings)
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_every_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All are named at once, with an example each."""
    for name in RIGHT:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit):
        load(IdentitySettings)
    lines = capsys.readouterr().err.splitlines()
    for name in RIGHT:
        assert any(line.startswith(f"{name}: is not set. Example: {name}=") for line in lines)
