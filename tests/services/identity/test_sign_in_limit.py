"""The limits on guesses of passwords, by account and by address, across replicas, without locking out owners."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest
from meshwright.identity.v1.account_pb import ResetPasswordRequest
from meshwright.identity.v1.identity_pb import CreateUserRequest, IssueTokenRequest, IssueWorkloadTokenRequest, Token
from structlog.testing import capture_logs

from mesh.client_network import client_network
from mesh.errors import InvalidArgument, MeshError, ResourceExhausted, Unauthenticated
from mesh.rpc import CLIENT_ADDRESS, Call
from services.identity import sign_in_limit
from services.identity.sign_in_limit import LIMITS
from tests.services.identity.conftest import CLIENT_SECRETS, PASSWORD, Identity
from tests.services.identity.test_accounts import NEW, mailed_token, reset_token

CREATE_USER = "/meshwright.identity.v1.IdentityService/CreateUser"
ISSUE_TOKEN = "/meshwright.identity.v1.IdentityService/IssueToken"
RESET_PASSWORD = "/meshwright.identity.v1.IdentityService/ResetPassword"
ISSUE_WORKLOAD_TOKEN = "/meshwright.identity.v1.IdentityService/IssueWorkloadToken"
EVE, ADA, BOB = "203.0.113.6", "198.51.100.7", "192.0.2.8"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every wait too long to take place inside the call."""
    monkeypatch.setattr(sign_in_limit, "PATIENCE_S", 0.0)


async def sign_in(identity: Identity, email: str, password: str = PASSWORD, address: str = EVE) -> Token:
    """Signs in from this address, as the edge forwards it."""
    request = IssueTokenRequest(grant_type="password", username=email, password=password)
    reply = await (await identity.channel()).unary(
        ISSUE_TOKEN, request.to_binary(), timeout_s=5, metadata=[(CLIENT_ADDRESS, address)]
    )
    return Token.from_binary(reply.message)


async def outcomes(identity: Identity, email: str, count: int, address: Callable[[int], str]) -> list[str]:
    """Returns the reasons of the errors for this number of wrong passwords."""
    reasons = []
    for number in range(count):
        with pytest.raises(MeshError) as caught:
            await sign_in(identity, email, "wrong password", address(number))
        reasons.append(caught.value.reason)
    return reasons


@pytest.mark.parametrize("exists", [True, False])
async def test_guessing_from_one_address_is_refused_after_some_failures(identity: Identity, exists: bool) -> None:
    """The error has a retry delay, is the same for the correct password, and does not reveal whether the account
    exists.
    """
    email = (await identity.register()).email if exists else "nobody@example.com"
    reasons = await outcomes(identity, email, 7, lambda _: EVE)
    assert reasons == ["INVALID_GRANT"] * 5 + ["TOO_MANY_SIGN_INS"] * 2
    with pytest.raises(ResourceExhausted) as caught:
        await sign_in(identity, email.upper())
    assert (caught.value.reason, caught.value.message) == (
        "TOO_MANY_SIGN_INS",
        "Too many failed sign-ins. Try again later.",
    )
    assert 1 <= (caught.value.retry_after_s or 0) <= 2


async def test_waits_grow_up_to_a_cap(identity: Identity) -> None:
    """Each failure after a wait doubles the next one; rejected attempts don't count."""
    user, waits = await identity.register(), []
    await outcomes(identity, user.email, 5, lambda _: EVE)
    for _ in range(12):
        with pytest.raises(ResourceExhausted) as caught:
            await sign_in(identity, user.email)
        waits.append(caught.value.retry_after_s or 0)
        await identity.execute("UPDATE sign_in_attempts SET blocked_until = now()")
        assert await outcomes(identity, user.email, 1, lambda _: EVE) == ["INVALID_GRANT"]
    assert [round(wait) for wait in waits[:5]] == [1, 2, 4, 8, 16]
    assert round(waits[-1]) == LIMITS["pair"].wait_max.total_seconds()


async def test_after_the_wait_the_right_password_ends_it(identity: Identity) -> None:
    """A success from an address resets its failures for this account."""
    user = await identity.register()
    await outcomes(identity, user.email, 6, lambda _: EVE)
    await identity.execute("UPDATE sign_in_attempts SET blocked_until = now()")
    assert (await sign_in(identity, user.email)).access_token
    assert await outcomes(identity, user.email, 5, lambda _: EVE) == ["INVALID_GRANT"] * 5


async def test_a_reset_password_ends_the_wait(identity: Identity) -> None:
    """Whoever has forgotten the password has tried some before, and others may be guessing at the account and from the
    same address. Guesses go on to be refused elsewhere.
    """
    user = await identity.register()
    await outcomes(identity, user.email, 6, lambda _: ADA)
    for number in range(51):
        with pytest.raises(MeshError):
            await sign_in(identity, f"{number}@example.com", "wrong password", ADA)
    await outcomes(identity, user.email, 21, lambda number: f"203.0.113.{number}")
    await identity.execute("UPDATE sign_in_attempts SET blocked_until = now() + interval '1 hour'")
    request = ResetPasswordRequest(token=await reset_token(identity, user.email), new_password=NEW)
    await (await identity.channel()).unary(
        RESET_PASSWORD, request.to_binary(), timeout_s=5, metadata=[(CLIENT_ADDRESS, ADA)]
    )
    assert (await sign_in(identity, user.email, NEW, ADA)).access_token
    with pytest.raises(ResourceExhausted):
        await sign_in(identity, user.email, NEW, BOB)


async def test_a_token_that_resets_nothing_ends_no_wait(identity: Identity) -> None:
    """The failures are forgotten with the reset, or not at all."""
    user = await identity.register()
    token = await mailed_token(identity, "confirm_email")
    await outcomes(identity, user.email, 6, lambda _: EVE)
    await identity.execute("UPDATE sign_in_attempts SET blocked_until = now() + interval '1 hour'")
    request = ResetPasswordRequest(token=token, new_password=NEW)
    with pytest.raises(InvalidArgument):
        await (await identity.channel()).unary(
            RESET_PASSWORD, request.to_binary(), timeout_s=5, metadata=[(CLIENT_ADDRESS, EVE)]
        )
    with pytest.raises(ResourceExhausted):
        await sign_in(identity, user.email)


async def test_guessing_from_many_addresses_is_refused_but_for_the_owner(identity: Identity) -> None:
    """The account's limit applies to addresses from which it has never signed in."""
    user, stranger = await identity.register(), await identity.register()
    await sign_in(identity, user.email, address=ADA)
    reasons = await outcomes(identity, user.email, 22, lambda number: f"203.0.113.{number}")
    assert reasons == ["INVALID_GRANT"] * 20 + ["TOO_MANY_SIGN_INS"] * 2
    with pytest.raises(ResourceExhausted):
        await sign_in(identity, user.email, address=BOB)
    assert (await sign_in(identity, user.email, address=ADA)).access_token
    assert (await sign_in(identity, stranger.email, address=BOB)).access_token, "other accounts are untouched"


async def test_guessing_at_many_accounts_from_one_address_is_refused(identity: Identity) -> None:
    """A list of stolen passwords can't be tried quickly; IPv6 addresses count by their network."""
    reasons = []
    for number in range(52):
        with pytest.raises(MeshError) as caught:
            await sign_in(identity, f"{number}@example.com", "wrong password", f"2001:db8::{number:x}")
        reasons.append(caught.value.reason)
    assert reasons == ["INVALID_GRANT"] * 50 + ["TOO_MANY_SIGN_INS"] * 2
    user = await identity.register()
    assert (await sign_in(identity, user.email, address="2001:db8:0:1::1")).access_token


async def test_a_user_registered_at_an_attacking_address_can_sign_in(identity: Identity) -> None:
    """Guesses at other accounts from an office, or a proxy, do not lock out its own users."""
    for number in range(51):
        with pytest.raises(MeshError):
            await sign_in(identity, f"{number}@example.com", "wrong password")
    request = CreateUserRequest(email="new@example.com", password=PASSWORD, display_name="New")
    await (await identity.channel()).unary(
        CREATE_USER, request.to_binary(), timeout_s=5, metadata=[(CLIENT_ADDRESS, EVE)]
    )
    assert (await sign_in(identity, "new@example.com")).access_token


async def test_a_sign_in_of_a_user_who_is_just_deleted_is_refused(identity: Identity) -> None:
    """The address of a deleted user is not recorded, and that is not an internal error."""
    user = await identity.register()
    limit = identity.handlers._limit
    attempt = await limit.begin(user.email, UUID(user.uid), Call(ISSUE_TOKEN, metadata={CLIENT_ADDRESS: EVE}))
    await identity.execute("DELETE FROM users")
    await limit.succeed(attempt, UUID(user.uid))
    assert await identity.count("SELECT count(*) FROM known_addresses") == 0


async def test_concurrent_guesses_all_count(identity: Identity) -> None:
    """A burst gets no more guesses than the same number one by one."""
    user = await identity.register()
    guesses = [sign_in(identity, user.email, f"wrong password {number}") for number in range(30)]
    errors = await asyncio.gather(*guesses, return_exceptions=True)
    reasons = [error.reason for error in errors if isinstance(error, MeshError)]
    assert (reasons.count("INVALID_GRANT"), reasons.count("TOO_MANY_SIGN_INS")) == (5, 25)


async def test_many_sign_ins_of_one_user_at_once_succeed(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """Concurrent sign-ins count as failures until the first succeeds, and wait for that."""
    monkeypatch.setattr(sign_in_limit, "PATIENCE_S", 3.0)
    user = await identity.register()
    tokens = await asyncio.gather(*(sign_in(identity, user.email) for _ in range(12)))
    assert all(token.access_token for token in tokens)


async def test_guessing_at_users_does_not_keep_workloads_out(identity: Identity) -> None:
    """From an address whose sign-ins are blocked, the correct secret of a workload is accepted, even after guesses at
    workloads were rejected.
    """
    for number in range(51):
        with pytest.raises(MeshError):
            await sign_in(identity, f"{number}@example.com", "wrong password")
    wrong = IssueWorkloadTokenRequest(grant_type="client_credentials", client_id="orders", client_secret="wrong secret")
    channel, metadata = await identity.channel(), [(CLIENT_ADDRESS, EVE)]
    for expected in [Unauthenticated] * 20 + [ResourceExhausted]:
        with pytest.raises(expected):
            await channel.unary(ISSUE_WORKLOAD_TOKEN, wrong.to_binary(), timeout_s=5, metadata=metadata)
    right = IssueWorkloadTokenRequest(
        grant_type="client_credentials", client_id="orders", client_secret=CLIENT_SECRETS["orders"]
    )
    reply = await channel.unary(ISSUE_WORKLOAD_TOKEN, right.to_binary(), timeout_s=5, metadata=metadata)
    assert Token.from_binary(reply.message).access_token
    right.grant_type = "password"
    with pytest.raises(InvalidArgument) as caught:
        await channel.unary(ISSUE_WORKLOAD_TOKEN, right.to_binary(), timeout_s=5, metadata=metadata)
    assert caught.value.reason == "UNSUPPORTED_GRANT_TYPE"


async def test_the_audit_log_has_guesses_without_passwords(identity: Identity) -> None:
    """Each sign-in and each lockout names account and address; no line holds a password or a token."""
    user = await identity.register()
    with capture_logs() as logs:
        token = await sign_in(identity, user.email, address=ADA)
        await outcomes(identity, user.email, 6, lambda _: EVE)
    lines = [line for line in logs if line.get("logger") == "audit"]
    records = [(line["event"], line.get("outcome", ""), line["account"], line["client"]) for line in lines]
    assert records == [
        ("sign_in", "succeeded", user.name, ADA),
        *[("sign_in", "failed", user.name, EVE)] * 5,
        ("lockout", "", user.name, EVE),
        ("sign_in", "refused", user.name, EVE),
    ]
    text = str(lines)
    for secret in (PASSWORD, "wrong password", token.access_token, token.refresh_token, user.email):
        assert secret not in text


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_a_client_is_an_address_or_a_network(address: str, network: str) -> None:
    """A subscriber has 2**64 addresses of IPv6."""
    assert client_network(address) == network
