"""Cryptography with KEY_ENCRYPTION_SECRET."""

import pytest
from joserfc.jwk import ECKey

from mesh.errors import FailedPrecondition
from services.identity.cipher import Cipher


@pytest.fixture
def key() -> ECKey:
    """Returns a new signing key."""
    return ECKey.generate_key("P-256", auto_kid=True)


def test_a_sealed_key_opens_to_the_same_key(cipher: Cipher, key: ECKey) -> None:
    """Encryption loses nothing, and encrypting twice gives different results."""
    assert key.kid is not None
    opened = cipher.unseal(cipher.seal(key), key.kid)
    assert opened.as_dict(private=True)["d"] == key.as_dict(private=True)["d"]
    assert opened.kid == key.kid
    assert cipher.seal(key) != cipher.seal(key)


def test_modified_data_is_not_decrypted(cipher: Cipher, key: ECKey) -> None:
    """Modified data, the data of another key and garbage are errors for the operator."""
    sealed = cipher.seal(key)
    place = sealed.rindex(".") - 5
    changed = sealed[:place] + ("A" if sealed[place] != "A" else "B") + sealed[place + 1 :]
    for text, kid in ((changed, key.kid), (sealed, "another"), ("rubbish", key.kid), ("", key.kid)):
        with pytest.raises(FailedPrecondition):
            cipher.unseal(text, kid or "")


def test_a_fingerprint_depends_on_text_and_secret(cipher: Cipher) -> None:
    """Fingerprints are equal for equal texts; another text or secret changes them."""
    other = Cipher("another secret of more than 32 characters")
    assert cipher.fingerprint("x") == cipher.fingerprint("x")
    assert len({cipher.fingerprint("x"), cipher.fingerprint("y"), other.fingerprint("x")}) == 3
