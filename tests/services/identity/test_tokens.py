"""Tokens as texts; test_grants.py tests the claims of access tokens."""

import base64

import pytest

from services.identity.cipher import Cipher
from services.identity.keys import SigningKeys
from services.identity.tokens import AccessTokens, RefreshToken


def test_a_refresh_token_survives_its_text(cipher: Cipher) -> None:
    """Parsing returns an equal token, with its family and the stored hash."""
    token = RefreshToken.new(cipher)
    parsed = RefreshToken.parse(token.text)
    assert parsed == token
    assert parsed.hash == token.hash


def test_the_next_token_is_of_the_same_family(cipher: Cipher) -> None:
    """Only the secret differs."""
    first = RefreshToken.new(cipher)
    second = RefreshToken.new(cipher, first.family)
    assert first.family == second.family
    assert first.secret != second.secret
    assert first.family != RefreshToken.new(cipher).family


def test_a_forged_token_is_recognised(cipher: Cipher) -> None:
    """A family's identifier, or another secret, is not enough to forge a token."""
    token = RefreshToken.new(cipher)
    assert token.is_genuine(cipher)
    assert not token.is_genuine(Cipher("another secret of more than 32 characters"))
    assert not RefreshToken(token.family, b"x" * 32).is_genuine(cipher)
    assert not RefreshToken(RefreshToken.new(cipher).family, token.secret).is_genuine(cipher)


@pytest.mark.parametrize("text", ["", "x", "====", "AAAA", "ü" * 64, "A" * 63, "A" * 65, "A" * 68, " " + "A" * 64])
def test_other_texts_are_no_token(text: str) -> None:
    """A text that can't be a token of this issuer is recognised without the database."""
    assert RefreshToken.parse(text) is None


@pytest.mark.parametrize("header", ['["alg"]', '"alg"', "[" * 1400 + "]" * 1400])
async def test_other_headers_are_of_no_access_token(keys: SigningKeys, header: str) -> None:
    """A header that is JSON, but not an object, is recognised at any depth."""
    encoded = base64.urlsafe_b64encode(header.encode()).decode().rstrip("=")
    assert await AccessTokens(keys, "https://issuer.test", "audience", 900).read(f"{encoded}.e30.AAAA") is None
