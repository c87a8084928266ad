"""Accounts and their sessions against a simple model, on a real PostgreSQL, with any sequence of steps."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mesh.database import Connection, Database
from mesh.migrations import MESH_FOLDER, migrate
from mesh.pagination import read_page
from mesh.settings import DatabaseSettings
from services.identity import code_storage, one_time_token_storage, session_storage, storage
from services.identity.code_storage import NewCode
from services.identity.domain import Role
from services.identity.one_time_tokens import Purpose
from services.identity.storage import NewFamily, NewUser, RefreshTokenRotation, RotatedFamily

T = TypeVar("T")

LIFETIME = timedelta(days=1)
CLIENT = "public"
PURPOSES = st.sampled_from(Purpose)


ENDED_WITH_PASSWORD = (Purpose.CHANGE_EMAIL, Purpose.RESET_PASSWORD)


@dataclass
class Account:
    """The model of an account: its sessions, the last used first, with the newest refresh token of each."""

    uid: UUID
    email: str
    password: str = "first"
    is_confirmed: bool = False
    is_deleted: bool = False
    sessions: dict[UUID, bytes] = field(default_factory=dict)
    codes: set[UUID] = field(default_factory=set)
    tokens: dict[UUID, Purpose] = field(default_factory=dict)

    def use(self, session: UUID, token: bytes) -> None:
        """Makes a session the one that was used last."""
        self.sessions = {session: token} | {id_: each for id_, each in self.sessions.items() if id_ != session}

    def end_all(self) -> None:
        """Ends all sessions, and what could begin one."""
        self.sessions.clear()
        self.codes.clear()


class AccountMachine(RuleBasedStateMachine):
    """Steps of users, and of attackers with one of their tokens. The database is shared by all runs."""

    accounts = Bundle("accounts")
    sessions = Bundle("sessions")  # with all refresh tokens, also used ones
    codes = Bundle("codes")
    tokens = Bundle("tokens")

    def __init__(self, runner: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self._runner = runner
        self._database = database
        self._known: list[Account] = []

    def _do(self, step: Callable[[Connection], Awaitable[T]]) -> T:
        async def run() -> T:
            async with self._database.transaction() as tx:
                return await step(tx)

        return self._runner.run(run())

    @rule(target=accounts)
    def register(self) -> Account:
        """Adds an account; another one can't have its address, whatever the case."""
        account = Account(uuid4(), f"{uuid4().hex}@example.com")
        new = NewUser(account.uid, account.email, "Ada", Role.CUSTOMER, account.password)
        other = NewUser(uuid4(), account.email.upper(), "Eve", Role.CUSTOMER, "")
        assert self._do(lambda tx: storage.insert_user(tx, new)) is not None
        assert self._do(lambda tx: storage.insert_user(tx, other)) is None
        self._known.append(account)
        return account

    @rule(target=sessions, account=accounts)
    def sign_in(self, account: Account) -> tuple[Account, UUID, list[bytes]]:
        """Signs in by the present password."""
        family, token = uuid4(), uuid4().bytes
        assert self._do(lambda tx: _sign_in(tx, account.uid, account.password, family, token))
        account.use(family, token)
        return account, family, [token]

    @rule(account=accounts)
    def sign_in_by_a_former_password(self, account: Account) -> None:
        """Is rejected."""
        former = "second" if account.password == "first" else "first"
        assert not self._do(lambda tx: _sign_in(tx, account.uid, former, uuid4(), b""))

    @rule(session=sessions, thief=st.sampled_from([None, "with a used token", "with another client"]))
    def refresh(self, session: tuple[Account, UUID, list[bytes]], thief: str | None) -> None:
        """Uses the newest refresh token of a session, which gives the next one if the session has not ended. A thief
        who uses one after that receives nothing, and the session ends.
        """
        account, family, issued = session
        new = uuid4().bytes
        rotated = self._do(lambda tx: _rotate(tx, family, CLIENT, issued[-1], new))
        assert (rotated and rotated.user.uid) == (account.uid if family in account.sessions else None)
        if rotated is not None:
            account.use(family, new)
            issued.append(new)
        if thief is not None:
            client, token = (CLIENT, issued[0]) if thief == "with a used token" else ("another", issued[-1])
            if len(issued) > 1:
                assert self._do(lambda tx: _rotate(tx, family, client, token, new)) is None
            ended = self._do(lambda tx: storage.delete_family(tx, family))
            newest = account.sessions.pop(family, None)
            assert ended == (None if newest is None else (account.uid, newest))

    @rule(session=sessions, caller=accounts)
    def end_session(self, session: tuple[Account, UUID, list[bytes]], caller: Account) -> None:
        """Ends a session, which only its user can."""
        account, family, _ = session
        ended = self._do(lambda tx: session_storage.delete_session(tx, caller.uid, family))
        assert ended is (caller is account and family in account.sessions)
        if ended:
            del account.sessions[family]

    @rule(target=codes, account=accounts)
    def issue_code(self, account: Account) -> tuple[Account, UUID]:
        """Issues an authorization code to a user who exists."""
        id_ = uuid4()
        new = NewCode(id_, account.uid, CLIENT, "https://shop.test", frozenset(), "challenge")

        async def step(tx: Connection) -> bool:
            if await storage.lock_if_present(tx, account.uid) is None:
                return False
            await code_storage.insert_code(tx, new)
            return True

        assert self._do(step) is not account.is_deleted
        if not account.is_deleted:
            account.codes.add(id_)
        return account, id_

    @rule(code=codes)
    def use_code(self, code: tuple[Account, UUID]) -> None:
        """Uses a code, which works once."""
        account, id_ = code
        redeemed = self._do(lambda tx: code_storage.redeem_code(tx, id_))
        assert (redeemed is not None) is (id_ in account.codes)
        account.codes.discard(id_)

    @rule(account=accounts, keeps_first=st.booleans())
    def change_password(self, account: Account, *, keeps_first: bool) -> None:
        """Changes the password, which ends all sessions but the one in which that is done."""
        if account.is_deleted:
            return
        kept = dict(list(account.sessions.items())[:1]) if keeps_first else {}
        new = "second" if account.password == "first" else "first"

        async def step(tx: Connection) -> None:
            await storage.lock_user(tx, account.uid)
            await storage.set_password(tx, account.uid, new)
            await one_time_token_storage.delete_tokens(tx, account.uid, ENDED_WITH_PASSWORD)
            ending = [each for each in await session_storage.session_ids(tx, account.uid) if each not in kept]
            await session_storage.delete_sessions(tx, ending)
            await code_storage.delete_codes(tx, account.uid)

        self._do(step)
        account.end_all()
        account.sessions, account.password = kept, new
        account.tokens = {id_: each for id_, each in account.tokens.items() if each not in ENDED_WITH_PASSWORD}

    @rule(target=tokens, account=accounts, purpose=PURPOSES)
    def mail_token(self, account: Account, purpose: Purpose) -> tuple[Account, UUID]:
        """Adds a one-time token of a user who exists; of each purpose the newest ten are kept."""

        async def step(tx: Connection) -> UUID | None:
            if await storage.lock_if_present(tx, account.uid) is None:
                return None
            return await one_time_token_storage.insert_token(tx, account.uid, purpose, account.email)

        added = self._do(step)
        assert (added is None) is account.is_deleted
        if added is None:
            return account, uuid4()
        same = [id_ for id_, each in account.tokens.items() if each is purpose]
        for id_ in same[: len(same) + 1 - one_time_token_storage.TOKENS_PER_PURPOSE_MAX]:
            del account.tokens[id_]
        account.tokens[added] = purpose
        return account, added

    @rule(token=tokens, purposes=st.sets(PURPOSES, min_size=1))
    def use_token(self, token: tuple[Account, UUID], purposes: set[Purpose]) -> None:
        """Uses a one-time token, which works once, and for its purpose."""
        account, id_ = token
        redeemed = self._do(lambda tx: one_time_token_storage.redeem_token(tx, id_, purposes))
        if account.tokens.get(id_) not in purposes:
            assert redeemed is None
            return
        assert redeemed is not None
        assert (redeemed.user_uid, redeemed.purpose) == (account.uid, account.tokens.pop(id_))
        if redeemed.purpose is not Purpose.RESET_PASSWORD:
            assert self._do(lambda tx: storage.set_confirmed_email(tx, account.uid, account.email))
            account.is_confirmed = True

    @rule(account=consumes(accounts))
    def delete(self, account: Account) -> None:
        """Deletes an account, and all that was its own."""

        async def step(tx: Connection) -> None:
            await storage.lock_user(tx, account.uid)
            await storage.delete_user(tx, account.uid)

        self._do(step)
        account.end_all()
        account.tokens.clear()
        account.is_deleted = True

    @invariant()
    def is_as_in_the_model(self) -> None:
        """Every account has the sessions of the model in the order of their last use, and is confirmed as there."""
        found = self._do(lambda tx: _read(tx, [account.uid for account in self._known]))
        assert found == [
            (list(account.sessions), None if account.is_deleted else account.is_confirmed) for account in self._known
        ]


async def _sign_in(tx: Connection, uid: UUID, password: str, family: UUID, token: bytes) -> bool:
    kept = await storage.lock_password(tx, uid, password)
    if kept:
        new = NewFamily(family, uid, CLIENT, "", frozenset({"profile"}), token)
        await storage.insert_family(tx, new, LIFETIME, LIFETIME)
    return kept


async def _rotate(tx: Connection, family: UUID, client: str, old: bytes, new: bytes) -> RotatedFamily | None:
    return await storage.rotate_family(tx, RefreshTokenRotation(family, (client,), "", old, new), LIFETIME)


async def _read(tx: Connection, uids: Sequence[UUID]) -> list[tuple[list[UUID], bool | None]]:
    """Returns the sessions of each account, and whether its address is confirmed, None if it is deleted."""
    result = []
    for uid in uids:
        page = read_page(100, "", query=(), key_types=session_storage.KEY_TYPES)
        sessions, _ = await session_storage.list_sessions(tx, uid, page)
        user = await storage.find_user(tx, uid)
        result.append(([each.id for each in sessions], None if user is None else user.email_confirmed))
    return result


def test_accounts_and_sessions_are_as_in_the_model(database_url: str) -> None:
    """Accounts and sessions agree with the model after any actions of users and of holders of stolen tokens."""
    migrate(database_url, [MESH_FOLDER, Path("services", "identity", "migrations")])
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        opened = Database.open(DatabaseSettings(database_url=database_url), "identity")
        database = runner.run(stack.enter_async_context(opened))
        try:
            run_state_machine_as_test(
                lambda: AccountMachine(runner, database),  # type: ignore[arg-type]
                settings=settings(max_examples=20, stateful_step_count=30),
            )
        finally:
            runner.run(stack.aclose())
