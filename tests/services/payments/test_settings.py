"""The settings of the payments service."""

import pytest

from mesh.settings import InvalidSettings, read
from services.payments.risk import Limits
from services.payments.settings import PaymentsSettings

REQUIRED = {
    "JWKS_URL": "http://edge:8080/.well-known/jwks.json",
    "TOKEN_ISSUER": "https://shop.example.com",
    "DATABASE_URL": "postgresql://payments@postgres/payments",
    "BROKER_URL": "nats://nats:4222",
    "PROVIDER_REPORT_SECRET": "a-secret-of-16-characters-or-more",
}


def read_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> PaymentsSettings:
    """Returns the settings that these variables make, beside those that are required."""
    for name, value in (REQUIRED | variables).items():
        monkeypatch.setenv(name, value)
    return read(PaymentsSettings)


def test_the_highest_amount_is_in_hundredths(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given in the unit of the currency, rounded to the nearest hundredth."""
    assert read_with(monkeypatch, RISK_AMOUNT_MAX="0.29").risk_limits == Limits(29, 10_000)


@pytest.mark.parametrize("value", ["inf", "nan", "-1"])
def test_a_wrong_amount_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """The process does not start, and the message has the name of the variable."""
    with pytest.raises(InvalidSettings, match="RISK_AMOUNT_MAX"):
        read_with(monkeypatch, RISK_AMOUNT_MAX=value)
