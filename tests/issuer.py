"""An issuer of access tokens for tests: real ES256 keys, and tokens of any shape, good and bad."""

import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey

ISSUER = "https://issuer.test"
AUDIENCE = "meshwright"


class Issuer:
    """Signs tokens with the newest of its keys, and is a mesh.identity.KeySet."""

    def __init__(self) -> None:
        self.keys: dict[str, ECKey] = {}
        self.rotate()

    def rotate(self) -> None:
        """Signs with a new key from now on; the old ones stay known."""
        self.kid = f"key-{len(self.keys) + 1}"
        self.keys[self.kid] = ECKey.generate_key("P-256", {"kid": self.kid})

    async def find(self, kid: str) -> ECKey | None:
        """The key of this identifier."""
        return self.keys.get(kid)

    def revision(self) -> int:
        """Always the same: what has been verified stays so."""
        return 0

    def jwks(self) -> dict[str, Any]:
        """The public keys as a JSON Web Key Set."""
        return {"keys": [key.as_dict(private=False) for key in self.keys.values()]}

    def token(self, subject: str = "users/ada", scope: str = "", **changed: Any) -> str:
        """A good token of this subject and scopes; `changed` replaces claims, or removes those that are None."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "exp": now + 600,
            "iat": now,
            "scope": scope,
        } | changed
        return self.sign({name: value for name, value in claims.items() if value is not None})

    def sign(self, claims: dict[str, Any], **header: Any) -> str:
        """These claims, signed; `header` replaces fields of the header."""
        fields = {"alg": "ES256", "typ": "at+jwt", "kid": self.kid} | header
        return jwt.encode(fields, claims, self.keys[self.kid])
