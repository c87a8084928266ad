"""Access control and rate limits."""

import time

import grpc
import pytest

from edge.call.allowances import Allowances
from edge.call.rate_limit import RateLimiter
from edge.contract.contract import Contract
from edge.http.client_key import client_key
from mesh.contract.policy import RateLimit
from mesh.errors import ResourceExhausted
from tests.edge.backend import Backend, Context, Received
from tests.edge.served import Client, edge_of
from tests.issuer import Issuer

GET = "/v1/shelves/a/books/b"
BOOKS = "/v1/shelves/a/books"


def bearer(token: str) -> dict[str, str]:
    """Returns the Authorization header of a token."""
    return {"authorization": f"Bearer {token}"}


async def test_a_valid_token_is_passed_on(guarded: Client, backend: Backend, issuer: Issuer) -> None:
    """A call with sufficient scopes succeeds, and the service gets the same token."""
    token = issuer.token(scope="books.write other")
    assert (await guarded.post(BOOKS, json={}, headers=bearer(token))).status_code == 201
    assert backend.calls[-1].metadata["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize(
    ("authorization", "reason", "challenge"),
    [
        (None, "TOKEN_MISSING", "Bearer"),
        ("Basic YTpi", "TOKEN_MISSING", "Bearer"),
        ("Bearer", "TOKEN_INVALID", 'Bearer error="invalid_token"'),
        ("Bearer nonsense", "TOKEN_INVALID", 'Bearer error="invalid_token"'),
        ("Bearer ü", "TOKEN_INVALID", 'Bearer error="invalid_token"'),
    ],
)
async def test_a_missing_or_invalid_token_is_401(
    guarded: Client, backend: Backend, authorization: str | None, reason: str, challenge: str
) -> None:
    """The challenge has only the scheme without a token, and also the error for an invalid one (RFC 6750)."""
    headers = {} if authorization is None else {b"authorization": authorization.encode("latin-1")}
    response = await guarded.post(BOOKS, json={}, headers=headers)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, challenge)
    assert response.json()["error"]["details"][0]["reason"] == reason
    assert backend.calls == []


async def test_expired_and_forged_tokens_are_401(guarded: Client, backend: Backend, issuer: Issuer) -> None:
    """An expired token has its own reason; a forged one is rejected on public methods too."""
    expired = await guarded.post(BOOKS, json={}, headers=bearer(issuer.token(exp=int(time.time()) - 1)))
    assert (expired.status_code, expired.json()["error"]["details"][0]["reason"]) == (401, "TOKEN_EXPIRED")
    forged = await guarded.get(GET, headers=bearer(Issuer().token(scope="books.write")))
    assert (forged.status_code, backend.calls) == (401, [])


async def test_a_missing_scope_is_named(guarded: Client, backend: Backend, issuer: Issuer) -> None:
    """The 403 names the missing scope in the header and in the body."""
    response = await guarded.post(BOOKS, json={}, headers=bearer(issuer.token(scope="books.read")))
    assert response.status_code == 403
    assert response.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="books.write"'
    detail = response.json()["error"]["details"][0]
    assert (detail["reason"], detail["metadata"]) == ("SCOPE_MISSING", {"scope": "books.write"})
    assert backend.calls == []


async def test_access_is_checked_before_the_request_is_read(guarded: Client) -> None:
    """A caller without access gets no validation errors of its request."""
    assert (await guarded.post(BOOKS, content=b"{nonsense")).status_code == 401


async def test_public_methods_accept_other_schemes(guarded: Client, backend: Backend) -> None:
    """Basic is passed to public methods, as a token endpoint needs it."""
    await guarded.get(GET, headers={"authorization": "Basic YTpi"})
    assert backend.calls[-1].metadata["authorization"] == "Basic YTpi"
    await guarded.get(GET)
    assert "authorization" not in backend.calls[-1].metadata


async def test_a_challenge_has_the_scheme_of_the_client(guarded: Client, backend: Backend) -> None:
    """A rejection of Basic has a Basic challenge (RFC 6749, section 5.2)."""

    async def answer(_: Received, context: Context) -> bytes:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "wrong secret")
        return b""

    backend.answer = answer
    basic = await guarded.get(GET, headers={"authorization": "Basic YTpi"})
    assert (basic.status_code, basic.headers["www-authenticate"]) == (401, 'Basic realm="api"')
    assert (await guarded.get(GET)).headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_without_keys_tokens_are_passed_on(client: Client, backend: Backend) -> None:
    """An edge without keys passes tokens on, and the service checks them."""
    assert (await client.post(BOOKS, json={}, headers=bearer("anything"))).status_code == 201
    assert backend.calls[-1].metadata["authorization"] == "Bearer anything"


async def test_a_method_without_http_rule_is_not_found(client: Client) -> None:
    """A method without a rule has no URL."""
    assert (await client.post("/library.v1.Library/Hidden", content=b"")).status_code == 404


async def test_the_contracts_rate_limit(library: Contract, backend: Backend) -> None:
    """Replies have the remaining calls; a call beyond the limit gets a 429 with Retry-After, and is not made."""
    async with edge_of(library, backend.port) as client:
        answers = [await client.get("/v1/limited") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers[:2]] == ["r=1", "r=0"]
    assert answers[0].headers["ratelimit-policy"] == '"default";q=2;w=3600'
    assert 0 < int(answers[2].headers["retry-after"]) <= 1800
    assert answers[2].json()["error"]["details"][0]["reason"] == "RATE_LIMIT_EXCEEDED"
    assert len(backend.calls) == 2


def test_a_limiter_counts_each_caller_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    """An allowance refills evenly, and does not depend on other callers."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    limiter = RateLimiter("m", RateLimit(requests=2, per_s=10), Allowances())
    limiter.admit("a")
    limiter.admit("a")
    limiter.admit("b")
    with pytest.raises(ResourceExhausted) as caught:
        limiter.admit("a")
    assert caught.value.retry_after_s == pytest.approx(5)
    clock[0] = 5.1
    limiter.admit("a")
    with pytest.raises(ResourceExhausted):
        limiter.admit("a")


@pytest.mark.parametrize(("period_s", "period"), [(0.5, "0.5 s"), (10, "10 s"), (30 * 86_400, "2592000 s")])
def test_the_error_of_a_rate_limit_names_its_period(
    monkeypatch: pytest.MonkeyPatch, period_s: float, period: str
) -> None:
    """A period of a month is a number of seconds, too, not a power of ten."""
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    limiter = RateLimiter("m", RateLimit(requests=1, per_s=period_s), Allowances())
    limiter.admit("ada")
    with pytest.raises(ResourceExhausted, match=rf"^More than 1 call in {period}\. "):
        limiter.admit("ada")


def test_a_full_table_resets_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is bounded; callers that don't fit share one allowance, and no count is reset."""
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    limiter = RateLimiter("m", RateLimit(requests=1, per_s=10), Allowances(entries_max=4))  # two for each method
    for caller in ("a", "b", "c"):
        limiter.admit(caller)
    for caller in ("a", "b", "c", "d"):
        with pytest.raises(ResourceExhausted):
            limiter.admit(caller)
    clock[0] = 10.1
    limiter.admit("d")
    limiter.admit("a")
    with pytest.raises(ResourceExhausted):
        limiter.admit("d")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_clients_are_counted_by_network(address: str, network: str) -> None:
    """IPv6 clients count by /64, because a subscriber could use a new address for each call."""
    assert client_key(address) == network


def left(limiter: RateLimiter, caller: str = "a") -> int:
    """Counts a call. Returns how many are left."""
    return int(dict(limiter.admit(caller))[b"ratelimit"].split(b";")[1].removeprefix(b"r="))


def test_rejected_calls_have_an_allowance_of_their_own() -> None:
    """A call that is given back leaves the allowance of good ones alone; beyond as many, rejected calls count too."""
    limiter = RateLimiter("m", RateLimit(requests=3, per_s=3600), Allowances())
    for _ in range(3):
        assert left(limiter) == 2
        limiter.give_back("a")
    for expected in (2, 1, 0):
        assert left(limiter) == expected
        limiter.give_back("a")
    with pytest.raises(ResourceExhausted):
        limiter.admit("a")
    assert left(limiter, "b") == 2


def test_a_limit_against_guessing_counts_rejected_calls() -> None:
    """With counts_rejected, a wrong password uses up the allowance as a right one does."""
    limiter = RateLimiter("m", RateLimit(requests=2, per_s=3600, counts_rejected=True), Allowances())
    for expected in (1, 0):
        assert left(limiter) == expected
        limiter.give_back("a")
    with pytest.raises(ResourceExhausted):
        limiter.admit("a")


@pytest.mark.parametrize(
    ("code", "statuses"),
    [
        (grpc.StatusCode.NOT_FOUND, [404, 404, 200, 200, 429]),
        (grpc.StatusCode.PERMISSION_DENIED, [403, 403, 429, 429, 429]),
        (grpc.StatusCode.UNAVAILABLE, [503, 503, 429, 429, 429]),
    ],
)
async def test_wrong_calls_do_not_use_up_the_rate_limit(
    library: Contract, backend: Backend, code: grpc.StatusCode, statuses: list[int]
) -> None:
    """404 and the like are given back; refused access and failures of a service, which cost as much as successes, are
    not.
    """

    async def answer(_: Received, context: Context) -> bytes:
        if len(backend.calls) <= 2:
            await context.abort(code, "no")
        return b""

    backend.answer = answer
    async with edge_of(library, backend.port) as client:
        assert [(await client.get("/v1/limited")).status_code for _ in statuses] == statuses


async def test_invalid_requests_do_not_use_up_the_rate_limit(library: Contract, backend: Backend) -> None:
    """A call that the edge rejects, because it violates the contract, is also returned to the rate limit."""
    async with edge_of(library, backend.port) as client:
        wrong = [await client.get("/v1/limited?unknown=1") for _ in range(2)]
        good = [await client.get("/v1/limited") for _ in range(2)]
    assert [answer.status_code for answer in (*wrong, *good)] == [400, 400, 200, 200]


@pytest.mark.parametrize("headers", [{"if-match": '"other"'}, {"if-match": "malformed"}])
async def test_reads_of_another_version_do_not_use_up_the_rate_limit(
    library: Contract, backend: Backend, headers: dict[str, str]
) -> None:
    """A read whose precondition is false or malformed is returned to the rate limit, as a change is."""
    async with edge_of(library, backend.port) as client:
        wrong = [await client.get("/v1/limited", headers=headers) for _ in range(2)]
        good = [await client.get("/v1/limited") for _ in range(2)]
    assert {answer.status_code for answer in wrong} <= {400, 412}
    assert [answer.status_code for answer in good] == [200, 200]
