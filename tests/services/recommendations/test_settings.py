"""The settings of the recommendations service."""

import pytest

from mesh.settings import InvalidSettings, read
from services.recommendations.domain.experiment import Experiment
from services.recommendations.settings import RecommendationsSettings

REQUIRED = {
    "JWKS_URL": "http://edge:8080/.well-known/jwks.json",
    "TOKEN_ISSUER": "https://shop.example.com",
    "DATABASE_URL": "postgresql://recommendations@postgres/recommendations",
    "BROKER_URL": "nats://nats:4222",
}


def read_with(monkeypatch: pytest.MonkeyPatch, **variables: str) -> RecommendationsSettings:
    """Returns the settings that these variables make, beside those that are required."""
    for name, value in (REQUIRED | variables).items():
        monkeypatch.setenv(name, value)
    return read(RecommendationsSettings)


def test_the_experiment_has_a_name_that_clients_cannot_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a dot, so that nobody else can count exposures of it."""
    settings = read_with(monkeypatch, EXPERIMENT="ranking-2", EXPERIMENT_SHARE_PERCENT="20")
    assert settings.running_experiment == Experiment("recommendations.ranking-2", 20)


@pytest.mark.parametrize(
    "variables",
    [
        {"EXPERIMENT": ""},
        {"EXPERIMENT": "Ranking"},
        {"EXPERIMENT": "a.b"},
        {"EXPERIMENT": 25 * "a"},
        {"EXPERIMENT_SHARE_PERCENT": "101"},
    ],
)
def test_a_wrong_experiment_is_named(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """The process does not start, and the message has the name of the variable."""
    with pytest.raises(InvalidSettings, match=next(iter(variables))):
        read_with(monkeypatch, **variables)
