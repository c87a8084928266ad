"""The formats of signed access tokens (JWTs by RFC 9068) and of the keys that verify them.

Only this module uses joserfc, which takes 10 MB with the cryptography that it stands on. It is imported when the first
verifier or key set is made, so that an edge that leaves tokens to the services does without.
"""

from collections.abc import Mapping
from typing import Any, Final

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

from mesh.identity.caller import Caller
from mesh.identity.ended_tokens import ended_ids
from mesh.identity.key_set import PublicKey
from mesh.identity.token_errors import expired, invalid

MALFORMED: Final = (JoseError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
"""The errors of reading a token that is not one, or has numbers or nesting beyond what Python reads."""

NOT_BEFORE_LEEWAY_S: Final = 60
"""The leeway for clocks of issuers that are ahead, with which "nbf" is checked (RFC 7519, section 4.1.5). "exp" has
none: an issuer remembers an ended token only until it has expired.
"""

# The algorithms that a key supports (RFC 7518, section 3.1; RFC 8037), by its type and, if it has one, its curve.
_ALGORITHMS_OF: Final[dict[tuple[Any, Any], list[str]]] = {
    ("EC", "P-256"): ["ES256"],
    ("EC", "P-384"): ["ES384"],
    ("EC", "P-521"): ["ES512"],
    ("OKP", "Ed25519"): ["EdDSA", "Ed25519"],
    ("RSA", None): ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
}


class TokenReader:
    """The reader of tokens with the issuer's public keys."""

    def __init__(self, issuer: str, audience: str, *, with_ended_ids: bool) -> None:
        """Does not check an empty `issuer` or `audience`. With both, accepts only access tokens by RFC 9068. Callers
        have `ended_ids` only if these are needed.
        """
        self._with_ended_ids = with_ended_ids
        self._typed = bool(issuer and audience)
        wanted: dict[str, Any] = {"sub": {"essential": True}, "exp": {"essential": True}}
        for name, value in (("iss", issuer), ("aud", audience)):
            if value:
                wanted[name] = {"essential": True, "value": value}
        self._claims = jwt.JWTClaimsRegistry(leeway=NOT_BEFORE_LEEWAY_S, **wanted)

    def key_id(self, token: str) -> str | None:
        """Returns the identifier of the key of a token, None if that is no text. Raises Unauthenticated."""
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid", "")
        except MALFORMED as error:
            raise invalid() from error
        return kid if isinstance(kid, str) else None

    def caller(self, token: str, key: PublicKey) -> Caller:
        """Returns the caller of a token that is signed with a key and valid now. Raises Unauthenticated."""
        try:
            decoded = jwt.decode(token, key, algorithms=_algorithms_of(key.as_dict(private=False)))
            # RFC 9068, section 4: without this check an ID token of the same issuer would pass for an access token.
            if self._typed and decoded.header.get("typ", "").lower() not in ("at+jwt", "application/at+jwt"):
                raise invalid()
            claims = decoded.claims
            # "iat" only tells the age of a token (RFC 7519, section 4.1.6), so a clock that is ahead is no reason to
            # reject it. The leeway does not apply to "exp", which the verifier checks again at every use.
            self._claims.validate({name: value for name, value in claims.items() if name != "iat"})
            scopes = frozenset(str(claims.get("scope", "")).split())
            ids = ended_ids(claims) if self._with_ended_ids else ()
            return Caller(str(claims["sub"]), scopes, token, float(claims["exp"]), ids)
        except ExpiredTokenError as error:
            raise expired() from error
        except MALFORMED as error:
            raise invalid() from error


def public_key(data: Any) -> ECKey | OKPKey | RSAKey | None:
    """Returns the key if it can verify signatures, else None: a set may hold other keys, to be ignored (RFC 7517,
    section 5). Raises TypeError if this is not a key at all.
    """
    if not isinstance(data, dict):
        raise TypeError("the key set has an element that is not a JSON object")
    try:
        key = import_key(data) if _algorithms_of(data) and data.get("use", "sig") == "sig" else None
    except (JoseError, ValueError, TypeError):
        return None
    return key if isinstance(key, ECKey | OKPKey | RSAKey) else None


def _algorithms_of(data: Mapping[str, Any]) -> list[str]:
    """Returns the algorithms by which a key may have signed a token: the one that it names, or all that it supports."""
    algorithms = _ALGORITHMS_OF.get((data.get("kty"), data.get("crv")), [])
    named = data.get("alg")
    return algorithms if named is None else [each for each in algorithms if each == named]
