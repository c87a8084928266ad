"""Tokens that end before they expire: by revocation, by reuse of a refresh token, and with their user."""

import asyncio
import os
import signal
from datetime import timedelta
from uuid import uuid4

import pytest
from meshwright.identity.v1.identity_pb import (
    DeleteUserRequest,
    GetUserRequest,
    IssueTokenRequest,
    ListEndedTokensRequest,
    RevokeTokenRequest,
    Token,
)

from local.postgres import Postgres
from mesh.background import stop
from mesh.database import Database, listener
from mesh.errors import InvalidArgument, ResourceExhausted, Unauthenticated
from mesh.identity import ended_id
from mesh.settings import DatabaseSettings
from services.identity import ended_tokens
from services.identity.cipher import Cipher
from services.identity.ended_tokens import EndedTokenList
from services.identity.tokens import RefreshToken
from tests.services.identity.conftest import Identity

ME = GetUserRequest(name="users/me")
ALL = ListEndedTokensRequest()


async def works(identity: Identity, token: Token) -> bool:
    """Returns whether an access token is accepted."""
    try:
        await (await identity.client(token.access_token)).get_user(ME)
    except Unauthenticated as error:
        if error.reason != "TOKEN_REVOKED":
            raise
        return False
    return True


async def listed(identity: Identity) -> list[str]:
    """Returns the list as everybody gets it."""
    return [entry.id for entry in (await (await identity.client()).list_ended_tokens(ALL)).ended]


async def test_a_revoked_access_token_ends_alone(identity: Identity) -> None:
    """The sign-in continues: its refresh token works, and others are not affected. Revocation can be repeated."""
    user, client = await identity.register(), await identity.client()
    token, other = await identity.sign_in(user.email), await identity.sign_in(user.email)
    for hint in ("", "access_token", "refresh_token", "of another kind"):
        await client.revoke_token(RevokeTokenRequest(token=token.access_token, token_type_hint=hint))
    assert not await works(identity, token)
    assert await works(identity, other)
    fresh = await client.issue_token(IssueTokenRequest(grant_type="refresh_token", refresh_token=token.refresh_token))
    assert await works(identity, fresh)
    assert len(await listed(identity)) == 1


async def test_a_revoked_refresh_token_ends_the_access_tokens_of_its_sign_in(identity: Identity) -> None:
    """RFC 7009, section 2.1: all tokens of the same grant end; other sign-ins of the user continue."""
    user, client = await identity.register(), await identity.client()
    token, other = await identity.sign_in(user.email), await identity.sign_in(user.email)
    await client.revoke_token(RevokeTokenRequest(token=token.refresh_token))
    assert not await works(identity, token)
    assert await works(identity, other)


async def test_the_reuse_of_a_refresh_token_ends_the_access_tokens(identity: Identity) -> None:
    """A thief's access token ends as soon as the theft is detected."""
    user, client = await identity.register(), await identity.client()
    token = await identity.sign_in(user.email)
    again = IssueTokenRequest(grant_type="refresh_token", refresh_token=token.refresh_token)
    second = await client.issue_token(again)
    with pytest.raises(InvalidArgument):
        await client.issue_token(again)
    assert [await works(identity, each) for each in (token, second)] == [False, False]


async def test_a_forged_refresh_token_ends_nothing(identity: Identity) -> None:
    """The identifier of a sign-in, which is in every access token, is not enough to end it."""
    user, client = await identity.register(), await identity.client()
    token = await identity.sign_in(user.email)
    genuine = RefreshToken.parse(token.refresh_token)
    assert genuine is not None
    elsewhere = RefreshToken.new(Cipher("another secret of more than 32 characters"), genuine.family)
    for secret in (b"\0" * 32, genuine.secret[:16] + b"\0" * 16, elsewhere.secret):
        forged = RefreshToken(genuine.family, secret).text
        await client.revoke_token(RevokeTokenRequest(token=forged))
        with pytest.raises(InvalidArgument):
            await client.issue_token(IssueTokenRequest(grant_type="refresh_token", refresh_token=forged))
    assert await works(identity, token)
    assert await listed(identity) == []
    assert await client.issue_token(IssueTokenRequest(grant_type="refresh_token", refresh_token=token.refresh_token))


async def test_all_tokens_of_a_user_end_with_the_user(identity: Identity) -> None:
    """One entry, which does not name the user, ends the tokens of all sign-ins."""
    user = await identity.register()
    tokens = [await identity.sign_in(user.email) for _ in range(2)]
    await (await identity.client(tokens[0].access_token)).delete_user(DeleteUserRequest(name="users/me"))
    assert [await works(identity, each) for each in tokens] == [False, False]
    assert await listed(identity) == [ended_id("sub", user.name)]


@pytest.mark.parametrize("text", ["x", "a.b.c", "A" * 4096, "ü.ü.ü", "eyJhbGciOiJub25lIn0.e30."])
async def test_texts_that_are_no_token_end_nothing(identity: Identity, text: str) -> None:
    """Revoking an unknown token succeeds (RFC 7009, section 2.2)."""
    await (await identity.client()).revoke_token(RevokeTokenRequest(token=text))
    assert await listed(identity) == []


async def test_a_deletion_returns_when_all_replicas_know(identity: Identity) -> None:
    """A replica that follows the list rejects the token as soon as the deletion has returned."""
    replicas = [EndedTokenList(identity.database, timedelta(seconds=900)) for _ in range(3)]
    for replica in replicas:
        await replica.refresh()
    following = [asyncio.create_task(replica.follow()) for replica in replicas]
    for _ in range(5):
        user, client = await identity.signed_in()
        await client.delete_user(DeleteUserRequest(name="users/me"))
        assert [replica.holds([ended_id("sub", user.name)]) for replica in replicas] == [True] * 3
    for task in following:
        task.cancel()
    await asyncio.gather(*following, return_exceptions=True)


async def test_a_replica_whose_session_fell_silent_listens_anew(
    identity: Identity, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows of later deletions by NOTIFY again, before they return."""
    monkeypatch.setattr(ended_tokens, "POLL_PAUSE_S", 60.0)
    monkeypatch.setattr(listener, "CHECK_PAUSE_S", 0.1)
    settings = DatabaseSettings(database_url=postgres.url("identity_tests"), database_statement_timeout_s=0.2)
    async with Database.open(settings, "replica") as database:
        replica = EndedTokenList(database, timedelta(seconds=900))
        following = asyncio.create_task(replica.follow())
        silent = await listening(identity, after=0)
        os.kill(silent, signal.SIGSTOP)
        try:
            await listening(identity, after=silent)
        finally:
            os.kill(silent, signal.SIGCONT)
        user, client = await identity.signed_in()
        await client.delete_user(DeleteUserRequest(name="users/me"))
        assert replica.holds([ended_id("sub", user.name)])
        await stop([following])


async def listening(identity: Identity, *, after: int) -> int:
    """Waits until a replica listens in another session than `after`; returns the process of PostgreSQL that serves
    it.
    """
    query = """
        SELECT pid FROM pg_stat_activity
        WHERE application_name = 'replica' AND pid <> $1 AND query ~ '^(LISTEN |SELECT 1$)'
    """
    async with asyncio.timeout(30):
        while True:
            async with identity.database.transaction() as tx:
                if (found := await tx.fetchval(query, after)) is not None:
                    return int(found)
            await asyncio.sleep(0.05)


async def test_no_entry_is_missed_while_tokens_end_at_the_same_time(identity: Identity) -> None:
    """A replica that reads the list while others end tokens has all of them."""
    replica, ending = EndedTokenList(identity.database, timedelta(seconds=900)), asyncio.Event()
    names = [f"{session}-{number}" for session in range(3) for number in range(60)]

    async def end(session: int) -> None:
        for name in names[session::3]:
            async with identity.database.transaction() as tx:
                await replica.end(tx, "sid", name)

    async def read() -> None:
        while not ending.is_set():
            await replica.refresh()

    reading = asyncio.create_task(read())
    await asyncio.gather(*map(end, range(3)))
    ending.set()
    await reading
    await replica.refresh()
    assert [name for name in names if not replica.holds([ended_id("sid", name)])] == []


async def test_a_reader_that_is_gone_delays_only_one_call(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that does not acknowledge an entry is deleted, until it polls again."""
    monkeypatch.setattr(ended_tokens, "SPREAD_TIMEOUT_S", 0.2)
    _, client = await identity.signed_in()
    dead = str(uuid4())
    await client.list_ended_tokens(ListEndedTokensRequest(reader=dead))
    assert await identity.count("SELECT count(*) FROM ended_token_readers WHERE id = $1::text::uuid", dead) == 1
    await client.delete_user(DeleteUserRequest(name="users/me"))
    assert await identity.count("SELECT count(*) FROM ended_token_readers WHERE id = $1::text::uuid", dead) == 0


async def test_a_reader_waits_for_new_entries(identity: Identity) -> None:
    """A long poll returns the new entries when a token ends."""
    user = await identity.register()
    token, client = await identity.sign_in(user.email), await identity.client()
    begin = await client.list_ended_tokens(ALL)
    poll = ListEndedTokensRequest(after=begin.next_after, wait_s=25)
    waiting = asyncio.create_task(client.list_ended_tokens(poll))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await client.revoke_token(RevokeTokenRequest(token=token.refresh_token))
    news = await waiting
    assert len(news.ended) == 1
    assert (await client.list_ended_tokens(ListEndedTokensRequest(after=news.next_after))).ended == []
    lost = await client.list_ended_tokens(ListEndedTokensRequest(after="999999999"))
    assert lost == await client.list_ended_tokens(ALL), "who has read further than there is begins anew"


async def test_a_long_list_comes_in_pages(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry is returned once, over several pages."""
    monkeypatch.setattr(ended_tokens, "PAGE_ENTRIES_MAX", 2)
    user, client = await identity.register(), await identity.client()
    for _ in range(5):
        await client.revoke_token(RevokeTokenRequest(token=(await identity.sign_in(user.email)).access_token))
    seen: list[str] = []
    page = await client.list_ended_tokens(ALL)
    while page.ended:
        assert len(page.ended) <= 2
        seen += [entry.id for entry in page.ended]
        page = await client.list_ended_tokens(ListEndedTokensRequest(after=page.next_after))
    assert len(seen) == len(set(seen)) == 5


async def test_a_full_list_refuses_more(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deletion is rejected, and the user still exists: no entry is deleted to make room."""
    monkeypatch.setattr(ended_tokens, "ENTRIES_MAX", 0)
    _, client = await identity.signed_in()
    with pytest.raises(ResourceExhausted) as caught:
        await client.delete_user(DeleteUserRequest(name="users/me"))
    assert caught.value.reason == "TOO_MANY_ENDED_TOKENS"
    assert (await client.get_user(ME)).name


async def test_a_full_list_has_room_once_its_entries_have_expired(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expired entries do not count, because they are deleted only when others are added."""
    monkeypatch.setattr(ended_tokens, "ENTRIES_MAX", 1)
    user, client = await identity.register(), await identity.client()
    tokens = [await identity.sign_in(user.email) for _ in range(2)]
    await client.revoke_token(RevokeTokenRequest(token=tokens[0].access_token))
    with pytest.raises(ResourceExhausted):
        await client.revoke_token(RevokeTokenRequest(token=tokens[1].access_token))
    await identity.execute("UPDATE ended_tokens SET expire_time = now()")
    await client.revoke_token(RevokeTokenRequest(token=tokens[1].access_token))
    assert not await works(identity, tokens[1])


async def test_expired_entries_are_deleted(identity: Identity) -> None:
    """The last entry is kept, because replicas use it to agree on the end of the list."""
    user, client = await identity.register(), await identity.client()
    tokens = [await identity.sign_in(user.email) for _ in range(3)]
    for token in tokens[:2]:
        await client.revoke_token(RevokeTokenRequest(token=token.access_token))
    await identity.execute("UPDATE ended_tokens SET expire_time = now()")
    await client.revoke_token(RevokeTokenRequest(token=tokens[2].access_token))
    await client.revoke_token(RevokeTokenRequest(token=(await identity.sign_in(user.email)).access_token))
    assert await identity.count("SELECT count(*) FROM ended_tokens") == 2
