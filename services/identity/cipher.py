"""Cryptography with KEY_ENCRYPTION_SECRET: encryption of the signing keys in the database, keyed hashes, and tags."""

import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey

from mesh.errors import FailedPrecondition
from mesh.identity import ALGORITHM

_KEY_MANAGEMENT = "dir"
_ENCRYPTION = "A256GCM"
_KEY_BYTES = 32

REFRESH_TOKENS = "refresh tokens"
ONE_TIME_TOKENS = "one-time tokens"
CODES = "authorization codes"
_TAGGED = (REFRESH_TOKENS, ONE_TIME_TOKENS, CODES)


class Cipher:
    """Encryption and authentication with keys derived from one secret, one for each purpose (HKDF, RFC 5869)."""

    def __init__(self, secret: str) -> None:
        self._sealing_key = OctKey.import_key(_derive(secret, "signing keys"))
        self._fingerprint_key = _derive(secret, "fingerprints")
        self._tag_keys = {purpose: _derive(secret, purpose) for purpose in _TAGGED}

    def seal(self, key: ECKey) -> str:
        """Encrypts a private key as a JWE (RFC 7516), bound to its identifier."""
        header = {"alg": _KEY_MANAGEMENT, "enc": _ENCRYPTION, "kid": key.kid}
        return jwe.encrypt_compact(header, key.as_pem(private=True), self._sealing_key)

    def unseal(self, sealed: str, kid: str) -> ECKey:
        """Decrypts the private key in a JWE. Raises FailedPrecondition, with a message for an operator, if it was
        encrypted with another secret.
        """
        try:
            opened = jwe.decrypt_compact(sealed, self._sealing_key, algorithms=[_KEY_MANAGEMENT, _ENCRYPTION])
            if opened.headers().get("kid") == kid and opened.plaintext is not None:
                return ECKey.import_key(opened.plaintext, {"kid": kid, "use": "sig", "alg": ALGORITHM})
        except (JoseError, ValueError) as error:
            raise _wrong_secret(kid) from error
        raise _wrong_secret(kid)

    def fingerprint(self, text: str) -> str:
        """Returns a keyed hash, the same for equal texts. Without the secret, nobody can guess the text by it."""
        return hmac.new(self._fingerprint_key, text.encode(), hashlib.sha256).hexdigest()

    def tag(self, purpose: str, octets: bytes) -> bytes:
        """Returns the HMAC-SHA256 that authenticates the parts of a token. The purpose is REFRESH_TOKENS,
        ONE_TIME_TOKENS or CODES.
        """
        return hmac.new(self._tag_keys[purpose], octets, hashlib.sha256).digest()


def _derive(secret: str, purpose: str) -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=f"meshwright identity {purpose}".encode())
    return derivation.derive(secret.encode())


def _wrong_secret(kid: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"KEY_ENCRYPTION_SECRET can't decrypt the signing key {kid} in the database. Set the secret that encrypted it."
        " If that is lost, empty the table signing_keys: all access tokens then become invalid."
    )
