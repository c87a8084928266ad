"""A verifier's copy of the list of ended tokens."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mesh.contract.policy import Policy
from mesh.errors import Unauthenticated, Unavailable
from mesh.identity import ANONYMOUS, RemoteEndedTokens, Verifier, authenticate, ended_id
from tests.http_endpoint import Endpoint
from tests.issuer import AUDIENCE, ISSUER, Issuer


class ListEndpoint(Endpoint):
    """A list of ended tokens with a long poll, as the issuer's."""

    def __init__(self, page_entries_max: int = 100) -> None:
        super().__init__({})
        self.page_entries_max = page_entries_max
        self.entries: list[str] = []
        self.queries: list[dict[str, list[str]]] = []
        self.acknowledged = 0
        self._news = asyncio.Event()

    def end(self, claim: str, value: str) -> None:
        """Adds an entry, and responds to waiting readers."""
        self.entries.append(ended_id(claim, value))
        self._news.set()
        self._news = asyncio.Event()

    async def answer(self, request: Request) -> Response:
        """Responds to one poll."""
        query = parse_qs(request.url.query, keep_blank_values=True)
        self.queries.append(query)
        after = int(query["after"][0] or 0)
        self.acknowledged = max(self.acknowledged, after)
        if self.status == 200 and len(self.entries) <= after and query["wait_s"] != ["0"]:
            await self._news.wait()
        expire_time = (datetime.now(UTC) + timedelta(minutes=15)).isoformat().replace("+00:00", "Z")
        page = self.entries[after : after + self.page_entries_max]
        ended = [{"id": each, "expire_time": expire_time} for each in page]
        return JSONResponse({"ended": ended, "next_after": str(after + len(page))}, status_code=self.status)

    async def until_acknowledged(self) -> None:
        """Waits until the reader has polled again after the last entry."""
        async with asyncio.timeout(30):
            while self.acknowledged < len(self.entries):
                await asyncio.sleep(0.01)


async def refused(verifier: Verifier, token: str) -> bool:
    """Returns whether a token is rejected as ended."""
    try:
        await verifier.verify(token)
    except Unauthenticated as error:
        if error.reason != "TOKEN_REVOKED":
            raise
        return True
    return False


@pytest.mark.parametrize(
    ("claim", "value"),
    [("jti", "token-1"), ("sid", "session-1"), ("sub", "users/ada")],
    ids=["token", "session", "user"],
)
async def test_a_token_in_the_list_is_rejected(issuer: Issuer, claim: str, value: str) -> None:
    """A token is rejected as soon as the reader has the entry, even if it was verified before; others stay valid."""
    endpoint = ListEndpoint()
    token = issuer.token("users/ada", jti="token-1", sid="session-1")
    other = issuer.token("users/bob", jti="token-2", sid="session-2")
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        verifier = Verifier(issuer, ISSUER, AUDIENCE, ended)
        assert not await refused(verifier, token)
        endpoint.end(claim, value)
        await endpoint.until_acknowledged()
        assert await refused(verifier, token)
        assert await refused(verifier, token)
        assert not await refused(verifier, other)
        endpoint.end("jti", "nobody's")


async def test_polls_are_sequential_and_incremental(issuer: Issuer) -> None:
    """Polls wait only once the list is complete; they name the reader and its position."""
    endpoint = ListEndpoint()
    endpoint.end("jti", "x")
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        await ended.ready()
        endpoint.end("jti", "y")
        await endpoint.until_acknowledged()
        while len(endpoint.queries) < 4:
            await asyncio.sleep(0.01)
        endpoint.end("jti", "z")
    assert [query["after"] for query in endpoint.queries[:2]] == [[""], ["1"]]
    assert [query["wait_s"] for query in endpoint.queries[:4]] == [["0"], ["0"], ["5"], ["5"]]
    assert endpoint.queries[3]["after"] == ["2"]
    assert len({query["reader"][0] for query in endpoint.queries}) == 1


async def test_a_poll_that_hangs_is_given_up(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry that the issuer would no longer deliver to a poll is fetched by the next one, seconds later."""
    assert RemoteEndedTokens.WAIT_S < RemoteEndedTokens.TIMEOUT_S <= 8
    monkeypatch.setattr(RemoteEndedTokens, "TIMEOUT_S", 0.5)
    endpoint = ListEndpoint()
    token = issuer.token("users/ada", jti="token-1")
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        verifier = Verifier(issuer, ISSUER, AUDIENCE, ended)
        assert not await refused(verifier, token)
        while endpoint.queries[-1]["wait_s"] == ["0"]:
            await asyncio.sleep(0.01)
        endpoint.entries.append(ended_id("jti", "token-1"))
        async with asyncio.timeout(30):
            while not await refused(verifier, token):
                await asyncio.sleep(0.01)
        endpoint.end("jti", "nobody's")


async def test_no_token_is_verified_by_a_part_of_the_list(issuer: Issuer) -> None:
    """All pages of the list are read first, so that a token on the last page is rejected from the beginning."""
    endpoint = ListEndpoint(page_entries_max=2)
    for number in range(7):
        endpoint.end("sub", f"users/{number}")
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        assert await refused(Verifier(issuer, ISSUER, AUDIENCE, ended), issuer.token("users/6"))
        endpoint.end("jti", "x")


async def test_without_a_first_list_no_token_is_verified(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until a new process has loaded the list, verification is UNAVAILABLE."""
    monkeypatch.setattr(RemoteEndedTokens, "FIRST_WAIT_S", 0.1)
    endpoint = ListEndpoint()
    endpoint.status = 503
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        verifier = Verifier(issuer, ISSUER, AUDIENCE, ended)
        with pytest.raises(Unavailable) as caught:
            await verifier.verify(issuer.token())
        assert caught.value.reason == "ENDED_TOKENS_UNAVAILABLE"
        endpoint.status = 200
        monkeypatch.setattr(RemoteEndedTokens, "FIRST_WAIT_S", 10.0)
        assert (await verifier.verify(issuer.token())).subject == "users/ada"
        endpoint.end("jti", "x")


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"ended": [{}], "next_after": "1"}', b'{"ended": [{"id": "x", "expire_time": "soon"}]}']
)
async def test_a_malformed_list_is_not_used(issuer: Issuer, monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    """The process keeps polling after malformed responses, and verifies no token meanwhile."""
    monkeypatch.setattr(RemoteEndedTokens, "FIRST_WAIT_S", 0.1)

    class Broken(Endpoint):
        async def answer(self, request: Request) -> Response:
            self.requests.append(("", ""))
            return Response(body, media_type="application/json")

    endpoint = Broken({})
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        with pytest.raises(Unavailable):
            await Verifier(issuer, ISSUER, AUDIENCE, ended).verify(issuer.token())
        while len(endpoint.requests) < 2:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("status", [404, 501])
async def test_tokens_of_an_issuer_without_a_list_yet_are_verified(issuer: Issuer, status: int) -> None:
    """During an upgrade the issuer may not have the list; it is loaded later."""
    endpoint = ListEndpoint()
    endpoint.status = status
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        verifier = Verifier(issuer, ISSUER, AUDIENCE, ended)
        assert (await verifier.verify(issuer.token("users/ada"))).subject == "users/ada"
        endpoint.status = 200
        endpoint.end("sub", "users/ada")
        await endpoint.until_acknowledged()
        assert await refused(verifier, issuer.token("users/ada"))
        endpoint.end("jti", "x")


async def test_the_copy_stays_while_the_issuer_is_away(issuer: Issuer) -> None:
    """Ended tokens stay ended, and others stay valid."""
    endpoint = ListEndpoint()
    endpoint.end("sub", "users/ada")
    async with endpoint.served() as url:
        ended = await RemoteEndedTokens(url).__aenter__()
        await ended.ready()
        endpoint.status = 503
        endpoint.end("jti", "x")
    verifier = Verifier(issuer, ISSUER, AUDIENCE, ended)
    assert await refused(verifier, issuer.token("users/ada"))
    assert not await refused(verifier, issuer.token("users/bob"))
    await ended.__aexit__(None, None, None)


async def test_expired_entries_are_deleted_and_their_number_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A list that exceeds the limit is not used."""
    monkeypatch.setattr(RemoteEndedTokens, "ENTRIES_MAX", 2)
    endpoint = ListEndpoint()
    endpoint.end("jti", "1")
    endpoint.end("jti", "2")
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        await ended.ready()
        endpoint.end("jti", "3")
        before = len(endpoint.queries)
        while len(endpoint.queries) < before + 2:
            await asyncio.sleep(0.01)
        assert not ended.holds([ended_id("jti", "3")])
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 3600)
        await endpoint.until_acknowledged()
        assert ended.holds([ended_id("jti", "3")])
        assert not ended.holds([ended_id("jti", "1")])
        endpoint.end("jti", "4")


async def test_a_public_method_treats_the_bearer_of_an_ended_token_as_anonymous(issuer: Issuer) -> None:
    """A client that signs in again may still send the old token; an expired one is an error."""
    endpoint = ListEndpoint()
    endpoint.end("sub", "users/ada")
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        verifier = Verifier(issuer, ISSUER, AUDIENCE, ended)
        await ended.ready()
        assert await authenticate(issuer.token("users/ada"), verifier, Policy(public=True)) == ANONYMOUS
        with pytest.raises(Unauthenticated):
            await authenticate(issuer.token("users/ada"), verifier, Policy())
        with pytest.raises(Unauthenticated):
            await authenticate(issuer.token("users/bob", exp=1), verifier, Policy(public=True))
        endpoint.end("jti", "x")


async def test_without_the_setting_tokens_are_valid_until_they_expire(issuer: Issuer) -> None:
    """Without the setting there is no list of ended tokens."""
    assert (await Verifier(issuer, ISSUER, AUDIENCE).verify(issuer.token(jti="x"))).ended_ids == ()


async def test_a_new_process_is_ready_when_it_has_the_list() -> None:
    """The first call with a token then does not wait for the list."""
    endpoint = ListEndpoint()
    endpoint.status = 503
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended:
        with pytest.raises(Unavailable):
            await ended.check()
        endpoint.status = 200
        await ended.ready()
        await ended.check()


async def test_the_first_list_is_soon_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the issuer fails while it starts at the same time, the pauses stay short. By doubling, the last of
    these would take hours.
    """
    monkeypatch.setattr(RemoteEndedTokens, "PAUSE_FIRST_S", 0.001)
    monkeypatch.setattr(RemoteEndedTokens, "PAUSE_MAX_S", 3600.0)
    monkeypatch.setattr("mesh.identity.remote_ended_tokens.READY_WITHOUT_S", 60.0)
    endpoint = ListEndpoint()
    endpoint.status = 503
    async with endpoint.served() as url, RemoteEndedTokens(url) as ended, asyncio.timeout(50):
        while len(endpoint.queries) < 24:
            await asyncio.sleep(0.01)
        endpoint.status = 200
        await ended.ready()
        await ended.check()
