"""The tokens of a process itself."""

import asyncio
import time

import pytest

from mesh.errors import MeshError, Unavailable
from mesh.identity import ServiceTokens
from tests.http_endpoint import Endpoint


async def test_a_process_gets_one_token_and_keeps_it() -> None:
    """Client credentials are sent as Basic authentication, and the token is used until shortly before it expires."""
    endpoint = Endpoint({"access_token": "one", "token_type": "Bearer", "expires_in": 900})
    async with endpoint.served() as url:
        tokens = ServiceTokens(url, "robot", "secret")
        assert [await tokens.token(), await tokens.token()] == ["one", "one"]
    assert endpoint.requests == [("Basic cm9ib3Q6c2VjcmV0", "grant_type=client_credentials")]


async def test_a_process_without_a_token_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the token endpoint fails, its response is not revealed, and the request is repeated after a pause."""
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


async def test_a_token_without_a_sensible_lifetime_is_not_used() -> None:
    """An answer that is not one of a token endpoint makes the process unavailable, whatever it contains."""
    for lifetime in (10**400, "soon", None):
        async with Endpoint({"access_token": "one", "expires_in": lifetime}).served() as url:
            with pytest.raises(Unavailable):
                await ServiceTokens(url, "robot", "secret").token()


async def test_a_token_endpoint_that_hangs_does_not_delay_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A valid token is used while the next one is fetched, once at a time."""
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
