"""What KEY_ENCRYPTION_SECRET protects: the signing keys in the database, and what must not be guessed from a hash."""

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


class Cipher:
    """Encrypts and authenticates with keys derived from one secret, each for one purpose (HKDF, RFC 5869)."""

    def __init__(self, secret: str) -> None:
        self._sealing_key = OctKey.import_key(_derive(secret, "signing keys"))
        self._fingerprint_key = _derive(secret, "fingerprints")
        self._tag_key = _derive(secret, "refresh tokens")

    def seal(self, key: ECKey) -> str:
        """A private key as a JWE (RFC 7516), bound to its identifier."""
        header = {"alg": _KEY_MANAGEMENT, "enc": _ENCRYPTION, "kid": key.kid}
        return jwe.encrypt_compact(header, key.as_pem(private=True), self._sealing_key)

    def unseal(self, sealed: str, kid: str) -> ECKey:
        """The private key in a JWE. Raises FailedPrecondition, for an operator, if another secret sealed it."""
        try:
            opened = jwe.decrypt_compact(sealed, self._sealing_key, algorithms=[_KEY_MANAGEMENT, _ENCRYPTION])
            if opened.headers().get("kid") == kid and opened.plaintext is not None:
                return ECKey.import_key(opened.plaintext, {"kid": kid, "use": "sig", "alg": ALGORITHM})
        except (JoseError, ValueError) as error:
            raise _wrong_secret(kid) from error
        raise _wrong_secret(kid)

    def fingerprint(self, text: str) -> str:
        """A keyed hash: equal for equal texts, and of no use for guessing them without the secret."""
        return hmac.new(self._fingerprint_key, text.encode(), hashlib.sha256).hexdigest()

    def tag(self, octets: bytes) -> bytes:
        """Authenticates the parts of a refresh token (HMAC-SHA256)."""
        return hmac.new(self._tag_key, octets, hashlib.sha256).digest()


def _derive(secret: str, purpose: str) -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=f"meshwright identity {purpose}".encode())
    return derivation.derive(secret.encode())


def _wrong_secret(kid: str) -> FailedPrecondition:
    return FailedPrecondition(
        f"KEY_ENCRYPTION_SECRET does not open the signing key {kid} in the database. Set the secret that it was"
        " encrypted with; or, if that is lost, empty the table signing_keys: every access token then ends."
    )
