"""Access tokens, and the keys that verify them."""

import asyncio
import base64
import time
from collections.abc import Iterable
from typing import Any

import pytest
from joserfc import jws, jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from mesh.errors import MeshError, Unauthenticated
from mesh.identity import RemoteKeySet, Verifier
from mesh.identity.ended_tokens import ended_id
from tests.http_endpoint import Endpoint
from tests.issuer import AUDIENCE, ISSUER, Issuer


def unpadded(text: str) -> str:
    """Returns a text as a part of a token."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


async def reason_of(verifier: Verifier, token: str) -> str:
    """Returns the reason why a token is rejected."""
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(token)
    return caught.value.reason


async def test_a_good_token_names_its_caller(issuer: Issuer) -> None:
    """Subject and scopes come from the token; the prefix of the subject identifies a workload."""
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    user = await verifier.verify(issuer.token("users/ada", "a b"))
    robot = await verifier.verify(issuer.token("workloads/robot"))
    assert (user.subject, user.scopes, user.workload) == ("users/ada", frozenset("ab"), None)
    assert robot.workload == "robot"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"iss": "https://other.test"}, "TOKEN_INVALID"),
        ({"aud": "other"}, "TOKEN_INVALID"),
        ({"aud": None}, "TOKEN_INVALID"),
        ({"sub": None}, "TOKEN_INVALID"),
        ({"exp": None}, "TOKEN_INVALID"),
        ({"exp": "soon"}, "TOKEN_INVALID"),
        ({"exp": 1}, "TOKEN_EXPIRED"),
        ({"nbf": 4102444800}, "TOKEN_INVALID"),
        ({"exp": 10**400}, "TOKEN_INVALID"),
        ({"nbf": 10**400}, "TOKEN_INVALID"),
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(issuer: Issuer, changed: dict[str, Any], reason: str) -> None:
    """Issuer, audience, subject and times are checked, and expiry has a reason of its own."""
    assert await reason_of(Verifier(issuer, ISSUER, AUDIENCE), issuer.token(**changed)) == reason


@pytest.mark.parametrize("claims", [{"iat": 4102444800}, {"iat": "today"}, {"nbf": 1_000_000}, {"nbf": 1_000_060}])
async def test_clocks_may_differ(issuer: Issuer, monkeypatch: pytest.MonkeyPatch, claims: dict[str, Any]) -> None:
    """The time of issue does not matter, and a token may begin a minute late. It ends on time."""
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    assert (await verifier.verify(issuer.token(**claims))).subject == "users/ada"
    assert await reason_of(verifier, issuer.token(nbf=1_000_061)) == "TOKEN_INVALID"
    assert await reason_of(verifier, issuer.token(exp=1_000_000)) == "TOKEN_EXPIRED"
    assert await reason_of(verifier, issuer.token(exp=999_999)) == "TOKEN_EXPIRED"


@pytest.mark.parametrize("given", [("", ""), (ISSUER, ""), ("", AUDIENCE)])
async def test_issuer_and_audience_are_optional(issuer: Issuer, given: tuple[str, str]) -> None:
    """Without them the type of the token is not checked either; the signature and the times always are."""
    verifier = Verifier(issuer, *given)
    claims = {"sub": "a", "exp": int(time.time()) + 60, "iss": given[0] or "x", "aud": given[1] or "x"}
    assert (await verifier.verify(issuer.sign(claims, typ="JWT"))).subject == "a"
    assert await reason_of(verifier, issuer.sign({**claims, "exp": 1})) == "TOKEN_EXPIRED"
    forged = jwt.encode({"alg": "ES256", "kid": issuer.kid}, claims, Issuer().keys["key-1"])
    assert await reason_of(verifier, forged) == "TOKEN_INVALID"
    for claim, value in (("iss", given[0]), ("aud", given[1])):
        if value:
            assert await reason_of(verifier, issuer.sign({**claims, claim: "other"})) == "TOKEN_INVALID"


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (RSAKey.generate_key(2048), ["RS256", "PS384"]),
        (ECKey.generate_key("P-384"), ["ES384"]),
        (OKPKey.generate_key("Ed25519"), ["Ed25519"]),
    ],
)
async def test_keys_of_every_common_kind_verify(key: RSAKey | ECKey | OKPKey, algorithms: list[str]) -> None:
    """Each kind has its own algorithms; a key that names one supports no other, and a key without an identifier
    verifies tokens without one.
    """
    public = key.as_dict(private=False)
    public.pop("kid", None)
    claims = {"sub": "a", "exp": int(time.time()) + 60}
    async with Endpoint({"keys": [public, {"kty": "oct", "k": "c2VjcmV0"}]}).served() as url:
        verifier = Verifier(RemoteKeySet(url), "", "")
        for algorithm in algorithms:
            token = jwt.encode({"alg": algorithm}, claims, key, algorithms=[algorithm])
            assert (await verifier.verify(token)).subject == "a"
    async with Endpoint({"keys": [{**public, "alg": "RS512"}]}).served() as url:
        assert await reason_of(Verifier(RemoteKeySet(url), "", ""), token) == "TOKEN_INVALID"


async def test_forged_tokens_are_refused(issuer: Issuer) -> None:
    """Another key, no algorithm, a symmetric one, an ID token, an unknown key and garbage are rejected."""
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "users/eve", "exp": int(time.time()) + 60}
    good = issuer.token()
    header, payload, signature = good.split(".")
    deep = "[" * 1400 + "]" * 1400
    shared = OctKey.import_key(b"k" * 32)
    forged = [
        Issuer().sign(claims),
        Issuer().sign(claims, kid="key-1"),
        issuer.sign(claims, typ="JWT"),
        issuer.sign(claims, kid="nobody's"),
        jwt.encode({"alg": "HS256", "typ": "at+jwt", "kid": issuer.kid}, claims, shared),
        f"eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}.",
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[::-1]}",
        "",
        "a.b.c",
        "é.é.é",
        "x" * 100_000,
        *(f"{unpadded(each)}.{payload}.{signature}" for each in ('["alg"]', '"alg"', deep)),
        jws.serialize_compact({"alg": "ES256", "kid": issuer.kid}, deep, issuer.keys[issuer.kid]),
    ]
    for token in forged:
        assert await reason_of(verifier, token) == "TOKEN_INVALID", token[:80]


async def test_a_remembered_token_still_expires(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is verified once, and rejected from the second at which it expires."""
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    token = issuer.token()
    caller = await verifier.verify(token)
    issuer.keys.clear()
    assert await verifier.verify(token) is caller, "no key is needed again"
    monkeypatch.setattr(time, "time", lambda: caller.expires_at)
    assert await reason_of(verifier, token) == "TOKEN_EXPIRED"


async def test_memory_of_tokens_is_bounded(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """New tokens evict old ones from the cache."""
    monkeypatch.setattr(Verifier, "REMEMBERED_MAX", 3)
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    tokens = [issuer.token(f"users/{number}") for number in range(5)]
    for token in tokens:
        await verifier.verify(token)
    issuer.keys.clear()
    assert [await reason_of(verifier, token) for token in tokens[:2]] == ["TOKEN_INVALID"] * 2
    for token in tokens[2:]:
        await verifier.verify(token)


class Ended(set[str]):
    """A list of ended tokens, as a verifier uses it."""

    async def ready(self) -> None:
        """It is loaded."""

    def holds(self, ids: Iterable[str]) -> bool:
        """Returns whether it has one of these entries."""
        return not self.isdisjoint(ids)


async def test_a_watched_token_that_ends(issuer: Issuer) -> None:
    """A watch lasts until the list of ended tokens holds the token, or one of its user."""
    ended = Ended()
    verifier = Verifier(issuer, ISSUER, AUDIENCE, ended)
    ada, bob = [await verifier.verify(issuer.token(subject)) for subject in ("users/ada", "users/bob")]
    stopped: asyncio.Queue[tuple[str, MeshError]] = asyncio.Queue()
    with (
        verifier.watching(ada, lambda error: stopped.put_nowait(("ada", error))),
        verifier.watching(bob, lambda error: stopped.put_nowait(("bob", error))),
    ):
        await asyncio.sleep(0)
        ended.add(ended_id("sub", "users/ada"))
        who, error = await stopped.get()
    assert (who, error.reason, stopped.empty()) == ("ada", "TOKEN_REVOKED", True)
