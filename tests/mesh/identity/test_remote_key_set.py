"""The issuer's keys at a URL."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mesh.errors import MeshError, Unauthenticated, Unavailable
from mesh.identity import RemoteKeySet, Verifier, remote_key_set
from mesh.identity.fetch import fetch_json
from tests.http_endpoint import Endpoint
from tests.issuer import AUDIENCE, ISSUER, Issuer


async def test_keys_are_fetched_and_a_new_one_is_found(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key set is read once, and again when a token names a key that is not in it yet."""
    monkeypatch.setattr(RemoteKeySet, "REFRESH_MIN_S", 0.0)
    endpoint = Endpoint(issuer.jwks())
    async with endpoint.served() as url:
        verifier = Verifier(RemoteKeySet(url), ISSUER, AUDIENCE)
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
        verifier = Verifier(RemoteKeySet(url), ISSUER, AUDIENCE)
        for number in range(20):
            token = issuer.sign({"sub": "x"}, kid=f"unknown-{number}")
            with pytest.raises(Unauthenticated) as caught:
                await verifier.verify(token)
            assert caught.value.reason == "TOKEN_INVALID"
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [(500, {}), (200, {}), (200, {"keys": "no"}), (200, {"keys": [1]})],
    ids=["error", "no keys", "text", "numbers"],
)
async def test_without_keys_a_token_can_not_be_verified(issuer: Issuer, status: int, body: dict[str, Any]) -> None:
    """While the issuer fails, verification is UNAVAILABLE, because the token may be valid."""
    endpoint = Endpoint(body)
    endpoint.status = status
    async with endpoint.served() as url:
        with pytest.raises(Unavailable):
            await Verifier(RemoteKeySet(url), ISSUER, AUDIENCE).verify(issuer.token())


async def test_known_keys_stay_valid_while_the_issuer_is_away(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An outage of the issuer does not sign everybody out."""
    monkeypatch.setattr(RemoteKeySet, "REFRESH_MIN_S", 0.0)
    monkeypatch.setattr(RemoteKeySet, "REFRESH_AGE_S", 0.0)
    endpoint = Endpoint(issuer.jwks())
    async with endpoint.served() as url:
        verifier = Verifier(RemoteKeySet(url), ISSUER, AUDIENCE)
        await verifier.verify(issuer.token("users/ada"))
    assert (await verifier.verify(issuer.token("users/bob"))).subject == "users/bob"


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_removed_key_verifies_nothing(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch, *, is_stream: bool
) -> None:
    """When a key is no longer published, tokens that were verified with it before are not accepted any more."""
    monkeypatch.setattr(RemoteKeySet, "REFRESH_AGE_S", 0.0)
    monkeypatch.setattr(RemoteKeySet, "REFRESH_MIN_S", 0.0)
    monkeypatch.setattr("mesh.identity.verifier.RECHECK_S", 0.05)
    endpoint = Endpoint(issuer.jwks())
    async with endpoint.served() as url:
        verifier = Verifier(RemoteKeySet(url), ISSUER, AUDIENCE)
        token = issuer.token("users/ada")
        caller = await verifier.verify(token)
        issuer.rotate()
        endpoint.body = {"keys": issuer.jwks()["keys"][1:]}
        ended: asyncio.Queue[MeshError] = asyncio.Queue()
        async with asyncio.timeout(30):
            if is_stream:
                with verifier.watching(caller, ended.put_nowait):
                    assert (await ended.get()).reason == "TOKEN_INVALID"
            else:
                while (await asyncio.gather(verifier.verify(token), return_exceptions=True))[0] == caller:
                    await asyncio.sleep(0.05)
                with pytest.raises(Unauthenticated):
                    await verifier.verify(token)
        assert (await verifier.verify(issuer.token("users/ada"))).subject == "users/ada"


async def test_a_key_set_that_hangs_does_not_delay_known_keys(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """While an old set is fetched from a URL that hangs, tokens of known keys are verified, and there is only one
    fetch.
    """
    monkeypatch.setattr(RemoteKeySet, "REFRESH_AGE_S", 0.0)
    monkeypatch.setattr(RemoteKeySet, "REFRESH_MIN_S", 0.0)
    endpoint = Endpoint(issuer.jwks())
    async with endpoint.served() as url:
        verifier = Verifier(RemoteKeySet(url), ISSUER, AUDIENCE)
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
    """After a fetch that timed out, tokens of unknown keys are rejected for a while without another fetch."""
    monkeypatch.setattr(RemoteKeySet, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(RemoteKeySet, "REFRESH_MIN_S", 60.0)
    fetched: list[str] = []  # not all requests arrive before their timeout

    async def fetch(url: str, *, timeout_s: float) -> Any:
        fetched.append(url)
        return await fetch_json(url, timeout_s=timeout_s)

    monkeypatch.setattr(remote_key_set, "fetch_json", fetch)
    endpoint = Endpoint(issuer.jwks())
    endpoint.open.clear()
    async with endpoint.served() as url:
        verifier = Verifier(RemoteKeySet(url), ISSUER, AUDIENCE)
        for _ in range(5):
            with pytest.raises(Unavailable):
                await verifier.verify(issuer.token())
        assert fetched == [url]
        endpoint.open.set()


async def test_keys_of_other_kinds_are_ignored(issuer: Issuer) -> None:
    """A set may hold keys that we do not use (RFC 7517, section 5)."""
    jwks = issuer.jwks()
    jwks["keys"] = [{"kty": "RSA", "kid": "r"}, {"kty": "EC", "crv": "P-256", "kid": "broken"}, *jwks["keys"]]
    endpoint = Endpoint(jwks)
    async with endpoint.served() as url:
        assert (await Verifier(RemoteKeySet(url), ISSUER, AUDIENCE).verify(issuer.token())).subject == "users/ada"


async def test_a_new_process_is_ready_when_it_has_the_keys(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call with a token then waits for no fetch."""
    monkeypatch.setattr(RemoteKeySet, "REFRESH_MIN_S", 0.0)
    endpoint = Endpoint(issuer.jwks())
    endpoint.open.clear()
    async with endpoint.served() as url, RemoteKeySet(url) as keys:
        with pytest.raises(Unavailable):
            await keys.check()
        endpoint.open.set()
        await eventually(keys.check)
        endpoint.open.clear()
        assert (await Verifier(keys, ISSUER, AUDIENCE).verify(issuer.token("users/ada"))).subject == "users/ada"
        endpoint.open.set()


async def test_keys_that_are_missing_at_the_start_are_soon_fetched_again(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An issuer that starts at the same time delays the process only until its keys are there."""
    monkeypatch.setattr(RemoteKeySet, "REFRESH_MIN_S", 60.0)
    monkeypatch.setattr(remote_key_set, "READY_WITHOUT_S", 60.0)
    endpoint = Endpoint(issuer.jwks())
    endpoint.status = 503
    async with endpoint.served() as url, RemoteKeySet(url) as keys, asyncio.timeout(20):
        while len(endpoint.requests) < 2:
            with pytest.raises(Unavailable):
                await keys.check()
            await asyncio.sleep(0.01)
        endpoint.status = 200
        await eventually(keys.check)


async def test_a_process_is_ready_without_keys_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the issuer is away, calls that need no token are answered."""
    monkeypatch.setattr(remote_key_set, "READY_WITHOUT_S", 3600.0)
    async with RemoteKeySet("http://127.0.0.1:1/") as keys:
        with pytest.raises(Unavailable):
            await keys.check()
    monkeypatch.setattr(remote_key_set, "READY_WITHOUT_S", 0.3)
    async with RemoteKeySet("http://127.0.0.1:1/") as keys:
        await eventually(keys.check)


async def eventually(check: Callable[[], Awaitable[None]]) -> None:
    """Repeats a check of readiness until it passes."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(Unavailable):
                return await check()
            await asyncio.sleep(0.05)
