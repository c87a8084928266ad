"""Who calls: access tokens verified by the issuer's public keys, and what the contract lets their bearer do.

Access tokens are JWTs after RFC 9068. Every process verifies them itself, so a forged header is worth nothing.
"""

import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import structlog
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key

from mesh.contract.policy import Policy
from mesh.ended_tokens import EndedTokens, ended_ids
from mesh.errors import MeshError, PermissionDenied, Unauthenticated, Unavailable
from mesh.fetch import FetchError, fetch_json
from mesh.refresh import Refresh

ALGORITHM = "ES256"  # of our own issuer
TOKEN_BYTES_MAX = 8192
WORKLOAD_PREFIX = "workloads/"
REVOKED: Final = "TOKEN_REVOKED"

# The algorithms that a key is good for (RFC 7518, section 3.1; RFC 8037): by its type, and its curve if it has one.
_ALGORITHMS: Final[dict[tuple[Any, Any], list[str]]] = {
    ("EC", "P-256"): ["ES256"],
    ("EC", "P-384"): ["ES384"],
    ("EC", "P-521"): ["ES512"],
    ("OKP", "Ed25519"): ["EdDSA", "Ed25519"],
    ("RSA", None): ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
}

PublicKey = ECKey | OKPKey | RSAKey

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `subject` is "users/…", "workloads/…", or empty for nobody; `expires_at` is a Unix time in seconds.
    `ended_ids` are the entries of the list of ended tokens that would each end this token.
    """

    subject: str = ""
    scopes: frozenset[str] = frozenset()
    token: str = ""
    expires_at: float = 0.0
    ended_ids: tuple[str, ...] = ()

    @property
    def workload(self) -> str | None:
        """The name of the workload that calls as itself, None if a user or nobody does."""
        return self.subject.removeprefix(WORKLOAD_PREFIX) if self.subject.startswith(WORKLOAD_PREFIX) else None


ANONYMOUS = Caller()


def bearer_token(authorization: str) -> str | None:
    """The token in an Authorization header (RFC 6750, section 2.1), None if it is of another scheme or empty."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def authorize(policy: Policy, caller: Caller) -> None:
    """Raises Unauthenticated or PermissionDenied unless the policy lets this caller in."""
    workload = caller.workload
    if workload is not None and policy.admits_workload(workload):
        return
    if not caller.subject and (policy.internal or not policy.public):
        raise Unauthenticated("This call needs an access token.", reason="TOKEN_MISSING")
    if policy.internal:
        raise PermissionDenied(
            "Only the workloads that the contract names may call this method.", reason="CALLER_NOT_ALLOWED"
        )
    if missing := policy.scopes - caller.scopes:
        scope = " ".join(sorted(missing))
        raise PermissionDenied(
            f"The access token lacks the scope {scope}.", reason="SCOPE_MISSING", metadata={"scope": scope}
        )


class KeySource(Protocol):
    """Where the issuer's public keys come from."""

    async def find(self, kid: str) -> PublicKey | None:
        """The key of this identifier, None if the issuer has no such key. Raises Unavailable while the keys can't be
        had.
        """


class JwksUrl:
    """The keys of a JSON Web Key Set (RFC 7517) at a URL.

    A token that names an unknown key waits for a fetch. Known keys serve at once, also while the set is older than
    REFRESH_AGE_S and fetched anew in the background, so that a key taken out of it is forgotten. There is one fetch at
    a time, and a pause of REFRESH_MIN_S after each. While the URL does not answer, the keys known so far stay good.
    """

    REFRESH_MIN_S = 1.0
    REFRESH_AGE_S = 300.0
    TIMEOUT_S = 3.0

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str, PublicKey] = {}
        self._fetched_at = float("-inf")
        self._reachable = False
        self._refresh = Refresh(self._fetch, self.REFRESH_MIN_S)

    async def find(self, kid: str) -> PublicKey | None:
        """The key of this identifier, None if the set has no such key. Raises Unavailable if the set was never had."""
        key = self._keys.get(kid)
        if key is None:
            await self._refresh.wait()
            key = self._keys.get(kid)
        elif time.monotonic() - self._fetched_at > self.REFRESH_AGE_S:
            self._refresh.begin()
        if key is None and not self._reachable:
            raise Unavailable("Access tokens can't be verified for now.", reason="KEYS_UNAVAILABLE", retry_after_s=1)
        return key

    async def _fetch(self) -> None:
        try:
            answer = await fetch_json(self._url, timeout_s=self.TIMEOUT_S)
            self._keys = {key.kid or "": key for key in map(_public_key, answer["keys"]) if key is not None}
        except (FetchError, ValueError, KeyError, TypeError) as error:
            self._reachable = False
            log.warning("could not fetch the issuer's keys", url=self._url, error=str(error) or type(error).__name__)
            return
        self._fetched_at, self._reachable = time.monotonic(), True


def _public_key(data: Any) -> PublicKey | None:
    """The key if signatures can be verified by it; a set may hold others (RFC 7517, section 5: ignore what you do not
    understand). Raises TypeError if this is no key at all.
    """
    if not isinstance(data, dict):
        raise TypeError("the set holds something that is no key")
    try:
        key = import_key(data) if _algorithms(data) and data.get("use", "sig") == "sig" else None
    except (JoseError, ValueError, TypeError):
        return None
    return key if isinstance(key, PublicKey) else None


def _algorithms(data: Mapping[str, Any]) -> list[str]:
    """What a key may have signed a token by: all that it is good for, or the one that it names."""
    algorithms = _ALGORITHMS.get((data.get("kty"), data.get("crv")), [])
    named = data.get("alg")
    return algorithms if named is None else [each for each in algorithms if each == named]


class Verifier:
    """Turns an access token into its Caller, and remembers the answer until the token expires."""

    REMEMBERED_MAX = 4_000  # of TOKEN_BYTES_MAX each

    def __init__(self, keys: KeySource, issuer: str, audience: str, ended: EndedTokens | None = None) -> None:
        """An empty `issuer` or `audience` is not checked. With both, only access tokens after RFC 9068 are good.
        Without `ended`, as with issuers that have no such list, a token is good until it expires.
        """
        self._keys = keys
        self._ended = ended
        self._typed = bool(issuer and audience)
        wanted: dict[str, Any] = {"sub": {"essential": True}, "exp": {"essential": True}}
        for name, value in (("iss", issuer), ("aud", audience)):
            if value:
                wanted[name] = {"essential": True, "value": value}
        self._claims = jwt.JWTClaimsRegistry(**wanted)
        self._remembered: OrderedDict[str, Caller] = OrderedDict()

    async def verify(self, token: str) -> Caller:
        """The caller of a token. Raises Unauthenticated if the token is not good, Unavailable if that can't be told
        for now.
        """
        caller = self._remembered.get(token)
        if caller is None:
            caller = await self._verify(token)
            self._remember(token, caller)
        if caller.expires_at <= time.time():
            self._remembered.pop(token, None)
            raise _expired()
        if self._ended is not None and self._ended.holds(caller.ended_ids):
            self._remembered.pop(token, None)
            raise _ended()
        return caller

    def _remember(self, token: str, caller: Caller) -> None:
        self._remembered[token] = caller
        if len(self._remembered) > self.REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    async def _verify(self, token: str) -> Caller:
        if len(token) > TOKEN_BYTES_MAX:
            raise _invalid()
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid", "")
        except (JoseError, ValueError) as error:
            raise _invalid() from error
        key = await self._keys.find(kid) if isinstance(kid, str) else None
        if key is None:
            raise _invalid()
        caller = self._decode(token, key)
        if self._ended is not None:
            await self._ended.ready()
        return caller

    def _decode(self, token: str, key: PublicKey) -> Caller:
        try:
            decoded = jwt.decode(token, key, algorithms=_algorithms(key.as_dict(private=False)))
            # RFC 9068, section 4: without this check an ID token of the same issuer would pass for an access token.
            if self._typed and decoded.header.get("typ", "").lower() not in ("at+jwt", "application/at+jwt"):
                raise _invalid()
            self._claims.validate(decoded.claims)
            claims = decoded.claims
            scopes = frozenset(str(claims.get("scope", "")).split())
            ids = ended_ids(claims) if self._ended is not None else ()
            return Caller(str(claims["sub"]), scopes, token, float(claims["exp"]), ids)
        except ExpiredTokenError as error:
            raise _expired() from error
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise _invalid() from error


async def bearer_of(token: str, verifier: Verifier, policy: Policy) -> Caller:
    """Returns the bearer of a token, as a method of this policy sees it. A public method takes one that was revoked for
    nobody: a client that signs out and in again may still send it. Raises as Verifier.verify() does.
    """
    try:
        return await verifier.verify(token)
    except Unauthenticated as error:
        if policy.public and error.reason == REVOKED:
            return ANONYMOUS
        raise


def _invalid() -> Unauthenticated:
    return Unauthenticated("The access token is not valid.", reason="TOKEN_INVALID")


def _expired() -> Unauthenticated:
    return Unauthenticated("The access token has expired. Get a new one.", reason="TOKEN_EXPIRED")


def _ended() -> Unauthenticated:
    return Unauthenticated("The access token was revoked, or its user is gone. Sign in again.", reason=REVOKED)


class ServiceTokens:
    """The access tokens of this process itself, by the OAuth 2.0 client credentials grant (RFC 6749, section 4.4).

    A token that is good for a while yet serves while the next is fetched in the background.
    """

    TIMEOUT_S = 5.0
    PAUSE_S = 1.0
    RENEW_BEFORE_S = 30.0
    SPARE_S = 5.0

    def __init__(self, url: str, client_id: str, client_secret: str) -> None:
        self._url = url
        self._authorization = f"Basic {b64encode(f'{client_id}:{client_secret}'.encode()).decode()}"
        self._token = ""
        self._renew_at = self._good_until = float("-inf")
        self._refresh = Refresh(self._fetch, self.PAUSE_S)

    async def token(self) -> str:
        """A token that is good for a while yet. Raises Unavailable while none can be had."""
        if time.monotonic() >= self._good_until:
            await self._refresh.wait()
            if time.monotonic() >= self._good_until:
                raise _no_token()
        elif time.monotonic() >= self._renew_at:
            self._refresh.begin()
        return self._token

    async def _fetch(self) -> None:
        try:
            answer = await fetch_json(
                self._url,
                timeout_s=self.TIMEOUT_S,
                form={"grant_type": "client_credentials"},
                authorization=self._authorization,
            )
            token, expires_in_s = str(answer["access_token"]), float(answer["expires_in"])
        except (FetchError, ValueError, KeyError, TypeError) as error:
            log.warning("could not obtain a service token", url=self._url, error=str(error) or type(error).__name__)
            return
        now = time.monotonic()
        self._token = token
        self._renew_at = now + max(expires_in_s / 2, expires_in_s - self.RENEW_BEFORE_S)
        self._good_until = now + max(expires_in_s * 0.9, expires_in_s - self.SPARE_S)


def _no_token() -> MeshError:
    return Unavailable(
        "This service can't prove who it is for now.", reason="SERVICE_TOKEN_UNAVAILABLE", retry_after_s=1
    )
