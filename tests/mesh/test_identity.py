"""Access tokens, the keys that verify them, and the tokens of a process itself."""

import asyncio
import time
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from mesh.errors import MeshError, Unauthenticated, Unavailable
from mesh.identity import JwksUrl, ServiceTokens, Verifier
from tests.http_endpoint import Endpoint
from tests.issuer import AUDIENCE, ISSUER, Issuer


async def reason_of(verifier: Verifier, token: str) -> str:
    """Why a token is refused."""
    with pytest.raises(Unauthenticated) as caught:
        await verifier.verify(token)
    return caught.value.reason


async def test_a_good_token_names_its_caller(issuer: Issuer) -> None:
    """Subject and scopes come from the token; a workload is known by its prefix."""
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
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(issuer: Issuer, changed: dict[str, Any], reason: str) -> None:
    """Issuer, audience, subject and times are all checked, and expiry is told apart."""
    assert await reason_of(Verifier(issuer, ISSUER, AUDIENCE), issuer.token(**changed)) == reason


@pytest.mark.parametrize("given", [("", ""), (ISSUER, ""), ("", AUDIENCE)])
async def test_what_is_not_set_is_not_checked(issuer: Issuer, given: tuple[str, str]) -> None:
    """Neither is the type of the token then, which few issuers write; the signature and the time always are."""
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
    """Each by its own algorithms; a key that names one is good for no other. Without a name it is for tokens without
    one.
    """
    public = key.as_dict(private=False)
    public.pop("kid", None)
    claims = {"sub": "a", "exp": int(time.time()) + 60}
    async with Endpoint({"keys": [public, {"kty": "oct", "k": "c2VjcmV0"}]}).served() as url:
        verifier = Verifier(JwksUrl(url), "", "")
        for algorithm in algorithms:
            token = jwt.encode({"alg": algorithm}, claims, key, algorithms=[algorithm])
            assert (await verifier.verify(token)).subject == "a"
    async with Endpoint({"keys": [{**public, "alg": "RS512"}]}).served() as url:
        assert await reason_of(Verifier(JwksUrl(url), "", ""), token) == "TOKEN_INVALID"


async def test_forged_tokens_are_refused(issuer: Issuer) -> None:
    """Another key, no algorithm, a symmetric one, an ID token, an unknown key, and plain rubbish."""
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "users/eve", "exp": int(time.time()) + 60}
    good = issuer.token()
    header, payload, signature = good.split(".")
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
    ]
    for token in forged:
        assert await reason_of(verifier, token) == "TOKEN_INVALID", token[:80]


async def test_a_remembered_token_still_expires(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token is verified once, and refused from the second at which it expires."""
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    token = issuer.token()
    caller = await verifier.verify(token)
    issuer.keys.clear()
    assert await verifier.verify(token) is caller, "no key is needed again"
    monkeypatch.setattr(time, "time", lambda: caller.expires_at)
    assert await reason_of(verifier, token) == "TOKEN_EXPIRED"


async def test_memory_of_tokens_is_bounded(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of tokens pushes old ones out."""
    monkeypatch.setattr(Verifier, "REMEMBERED_MAX", 3)
    verifier = Verifier(issuer, ISSUER, AUDIENCE)
    tokens = [issuer.token(f"users/{number}") for number in range(5)]
    for token in tokens:
        await verifier.verify(token)
    issuer.keys.clear()
    assert [await reason_of(verifier, token) for token in tokens[:2]] == ["TOKEN_INVALID"] * 2
    for token in tokens[2:]:
        await verifier.verify(token)


async def test_keys_are_fetched_and_a_new_one_is_found(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key set is read once, and again when a token names a key that is not in it yet."""
    monkeypatch.setattr(JwksUrl, "REFRESH_MIN_S", 0.0)
    endpoint = Endpoint(issuer.jwks())
    async with endpoint.served() as url:
        verifier = Verifier(JwksUrl(url), ISSUER, AUDIENCE)
        await verifier.verify(issuer.token("users/ada"))
        await verifier.verify(issuer.token("users/bob"))
        assert len(endpoint.requests) == 1
        issuer.rotate()
        endpoint.body = issuer.jwks()
        await verifier.verify(issuer.token("users/cyd"))
        assert len(endpoint.requests) == 2


async def test_unknown_keys_do_not_flood_the_issuer(issuer: Issuer) -> None:
    """However many tokens name keys that do not exist, the set is fetched at most once in a while."""
    endpoint = Endpoint(issuer.jwks())
    async with endpoint.served() as url:
        verifier = Verifier(JwksUrl(url), ISSUER, AUDIENCE)
        for number in range(20):
            token = issuer.sign({"sub": "x"}, kid=f"unknown-{number}")
            assert await reason_of(verifier, token) == "TOKEN_INVALID"
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, {}), (200, {}), (200, {"keys": "no"}), (200, {"keys": [1]})],
    ids=["error", "no keys", "text", "numbers"],
)
async def test_without_keys_a_token_can_not_be_judged(issuer: Issuer, status: int, body: dict[str, Any]) -> None:
    """An issuer that is broken is UNAVAILABLE: it proves nothing against the token."""
    endpoint = Endpoint(body)
    endpoint.status = status
    async with endpoint.served() as url:
        with pytest.raises(Unavailable):
            await Verifier(JwksUrl(url), ISSUER, AUDIENCE).verify(issuer.token())


async def test_known_keys_stay_good_while_the_issuer_is_away(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of the issuer does not log everybody out."""
    monkeypatch.setattr(JwksUrl, "REFRESH_MIN_S", 0.0)
    monkeypatch.setattr(JwksUrl, "REFRESH_AGE_S", 0.0)
    endpoint = Endpoint(issuer.jwks())
    async with endpoint.served() as url:
        verifier = Verifier(JwksUrl(url), ISSUER, AUDIENCE)
        await verifier.verify(issuer.token("users/ada"))
    assert (await verifier.verify(issuer.token("users/bob"))).subject == "users/bob"


async def test_a_key_set_that_hangs_holds_no_known_key_up(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the set is old and its URL hangs, tokens of known keys are verified, and one fetch is under way."""
    monkeypatch.setattr(JwksUrl, "REFRESH_AGE_S", 0.0)
    monkeypatch.setattr(JwksUrl, "REFRESH_MIN_S", 0.0)
    endpoint = Endpoint(issuer.jwks())
    async with endpoint.served() as url:
        verifier = Verifier(JwksUrl(url), ISSUER, AUDIENCE)
        await verifier.verify(issuer.token("users/ada"))
        endpoint.open.clear()
        for number in range(20):
            assert (await verifier.verify(issuer.token(f"users/{number}"))).subject == f"users/{number}"
        issuer.rotate()
        endpoint.body = issuer.jwks()
        waiting = [asyncio.create_task(verifier.verify(issuer.token(f"users/new-{number}"))) for number in range(5)]
        while len(endpoint.requests) < 2:
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        endpoint.open.set()
        await asyncio.gather(*waiting)
        assert len(endpoint.requests) == 2, "all of them waited for the fetch that was under way"


async def test_the_pause_between_fetches_counts_from_the_end_of_one(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fetch that timed out, tokens of unknown keys are refused without another one for a while."""
    monkeypatch.setattr(JwksUrl, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(JwksUrl, "REFRESH_MIN_S", 60.0)
    endpoint = Endpoint(issuer.jwks())
    endpoint.open.clear()
    async with endpoint.served() as url:
        verifier = Verifier(JwksUrl(url), ISSUER, AUDIENCE)
        for _ in range(5):
            with pytest.raises(Unavailable):
                await verifier.verify(issuer.token())
        assert len(endpoint.requests) == 1
        endpoint.open.set()


async def test_keys_of_other_kinds_are_ignored(issuer: Issuer) -> None:
    """A set may hold keys that we do not use (RFC 7517, section 5)."""
    jwks = issuer.jwks()
    jwks["keys"] = [{"kty": "RSA", "kid": "r"}, {"kty": "EC", "crv": "P-256", "kid": "broken"}, *jwks["keys"]]
    endpoint = Endpoint(jwks)
    async with endpoint.served() as url:
        assert (await Verifier(JwksUrl(url), ISSUER, AUDIENCE).verify(issuer.token())).subject == "users/ada"


async def test_a_process_gets_one_token_and_keeps_it() -> None:
    """Client credentials are sent as Basic authentication, and the token is used until shortly before it expires."""
    endpoint = Endpoint({"access_token": "one", "token_type": "Bearer", "expires_in": 900})
    async with endpoint.served() as url:
        tokens = ServiceTokens(url, "robot", "secret")
        assert [await tokens.token(), await tokens.token()] == ["one", "one"]
    assert endpoint.requests == [("Basic cm9ib3Q6c2VjcmV0", "grant_type=client_credentials")]


async def test_a_process_without_a_token_says_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token endpoint that refuses or is down does not leak its answer, and is asked again after a pause."""
    monkeypatch.setattr(ServiceTokens, "PAUSE_S", 0.0)
    endpoint = Endpoint({"error": "secret detail"})
    endpoint.status = 401
    async with endpoint.served() as url:
        tokens = ServiceTokens(url, "robot", "wrong")
        for _ in range(2):
            with pytest.raises(MeshError) as caught:
                await tokens.token()
            assert (type(caught.value), caught.value.reason) == (Unavailable, "SERVICE_TOKEN_UNAVAILABLE")
            assert "secret detail" not in caught.value.message
    assert len(endpoint.requests) == 2


async def test_a_token_endpoint_that_hangs_holds_no_good_token_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is to be renewed serves while one fetch of the next is under way."""
    monkeypatch.setattr(ServiceTokens, "PAUSE_S", 0.0)
    monkeypatch.setattr(ServiceTokens, "RENEW_BEFORE_S", 3600.0)
    endpoint = Endpoint({"access_token": "one", "token_type": "Bearer", "expires_in": 0.2})
    async with endpoint.served() as url:
        tokens = ServiceTokens(url, "robot", "secret")
        monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
        assert await tokens.token() == "one"
        endpoint.open.clear()
        monkeypatch.setattr(time, "monotonic", lambda: 1000.15)
        assert [await tokens.token() for _ in range(10)] == ["one"] * 10
        while len(endpoint.requests) < 2:
            await asyncio.sleep(0)
        monkeypatch.undo()
        endpoint.open.set()
    assert len(endpoint.requests) == 2
