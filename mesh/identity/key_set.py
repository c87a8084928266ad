"""The issuer's public keys, and the signature algorithms of each."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

from joserfc.jwk import ECKey, OKPKey, RSAKey

ALGORITHM = "ES256"  # of our own issuer

# The algorithms that a key supports (RFC 7518, section 3.1; RFC 8037), by its type and, if it has one, its curve.
_ALGORITHMS_OF: Final[dict[tuple[Any, Any], list[str]]] = {
    ("EC", "P-256"): ["ES256"],
    ("EC", "P-384"): ["ES384"],
    ("EC", "P-521"): ["ES512"],
    ("OKP", "Ed25519"): ["EdDSA", "Ed25519"],
    ("RSA", None): ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
}

PublicKey = ECKey | OKPKey | RSAKey


class KeySet(Protocol):
    """The source of the issuer's public keys."""

    async def find(self, kid: str) -> PublicKey | None:
        """Returns the key with this identifier, None if the issuer has no such key. Raises Unavailable if the keys
        can't be fetched.
        """


def algorithms_of(data: Mapping[str, Any]) -> list[str]:
    """Returns the algorithms by which a key may have signed a token: the one that it names, or all that it supports."""
    algorithms = _ALGORITHMS_OF.get((data.get("kty"), data.get("crv")), [])
    named = data.get("alg")
    return algorithms if named is None else [each for each in algorithms if each == named]
