"""The issuer's public keys."""

from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

ALGORITHM = "ES256"  # of our own issuer

PublicKey: TypeAlias = "ECKey | OKPKey | RSAKey"


class KeySet(Protocol):
    """The source of the issuer's public keys."""

    def revision(self) -> int:
        """Returns a number that changes when the keys change: a token may have been verified with one that is gone."""

    async def find(self, kid: str) -> "PublicKey | None":
        """Returns the key with this identifier, None if the issuer has no such key. Raises Unavailable if the keys
        can't be fetched.
        """
