"""Refresh tokens as texts; what access tokens hold is in test_grants.py."""

import pytest

from services.identity.tokens import RefreshToken


def test_a_refresh_token_survives_its_text() -> None:
    """Parsing gives the token back, with its family and the hash that is stored."""
    token = RefreshToken.new()
    parsed = RefreshToken.parse(token.text)
    assert parsed == token
    assert parsed.hash == token.hash


def test_the_next_token_is_of_the_same_family() -> None:
    """Only the secret differs."""
    first = RefreshToken.new()
    second = RefreshToken.new(first.family)
    assert first.family == second.family
    assert first.secret != second.secret
    assert first.family != RefreshToken.new().family


@pytest.mark.parametrize("text", ["", "x", "====", "AAAA", "ü" * 64, "A" * 63, "A" * 65, "A" * 68, " " + "A" * 64])
def test_other_texts_are_no_token(text: str) -> None:
    """What can't have been one of ours is told apart without the database."""
    assert RefreshToken.parse(text) is None
