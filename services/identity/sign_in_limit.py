"""The limits on guesses of passwords, secrets and one-time tokens, and on mails. What they limit is counted in the
database, so that they apply across replicas.

docs/decisions/0021-guessing-and-mail.md gives the reasons.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from mesh.client_network import client_network
from mesh.database import Connection, Database
from mesh.errors import ResourceExhausted
from mesh.rpc import Call
from services.identity import attempt_storage
from services.identity.attempt_storage import Counter
from services.identity.cipher import Cipher


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on failures. The first ones cost no wait; each further one doubles it, up to a maximum. A counter expires
    some time after its last failure.
    """

    free_failures: int
    wait_first: timedelta
    wait_max: timedelta
    forget_after: timedelta

    def wait(self, failures: int) -> timedelta:
        """Returns the time to wait after this number of failures."""
        over = failures - self.free_failures
        if over < 0:
            return timedelta(0)
        doubled = self.wait_first * int(2 ** min(over, 20))
        return min(doubled, self.wait_max)


LIMITS: Mapping[str, Limit] = {
    # One address guesses at one account.
    "pair": Limit(5, timedelta(seconds=1), timedelta(minutes=15), timedelta(days=1)),
    # Many addresses guess at one account. It does not apply to addresses from which the owner has signed in before.
    "account": Limit(20, timedelta(seconds=1), timedelta(minutes=5), timedelta(days=1)),
    # One address guesses at many accounts; an office may share it.
    "address": Limit(50, timedelta(seconds=1), timedelta(minutes=5), timedelta(hours=1)),
}
# One address guesses at the secrets of workloads. Correct secrets are always accepted: they are too long to guess.
CLIENT_LIMIT = Limit(20, timedelta(seconds=1), timedelta(minutes=5), timedelta(hours=1))

# One address sends wrong one-time tokens, or asks for mails. Right tokens are always accepted, as above.
TOKEN_LIMIT = MAIL_ADDRESS_LIMIT = CLIENT_LIMIT
# Mails of one kind to one account, so that nobody can be sent any number of them.
MAIL_LIMIT = Limit(3, timedelta(minutes=10), timedelta(hours=6), timedelta(days=1))

NOBODY = UUID(int=0)
PATIENCE_S = 1.2
POLL_PAUSE_S = 0.25


@dataclass(frozen=True, slots=True)
class Attempt:
    """An admitted attempt to sign in, which counts as failed until it succeeds. `blocked_until` is by key; `blocks` are
    the names of the limits that block further attempts if this one fails.
    """

    address_hash: str
    pair_key: str
    blocked_until: Mapping[str, datetime]
    blocks: tuple[str, ...]

    @property
    def until(self) -> datetime:
        """Returns the time until which further attempts are blocked if this one fails."""
        return max(self.blocked_until.values())


class SignInLimit:
    """The limits by account and by address. Until a wait is over, sign-ins fail even with the correct password."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def begin(self, username: str, user_uid: UUID | None, call: Call) -> Attempt:
        """Counts an attempt before its password is checked, so that concurrent attempts all count. The account need not
        exist. Raises ResourceExhausted with the time to wait. A short wait takes place here, because concurrent
        sign-ins of one user count as failures until the first succeeds.
        """
        account, address = self.account_hash(username), self._address_hash(call)
        patient_until = time.monotonic() + PATIENCE_S
        outcome = await self._try_begin(account, address, user_uid)
        while isinstance(outcome, timedelta):
            wait_s = outcome.total_seconds()
            if time.monotonic() + wait_s > patient_until:
                raise too_many_attempts(wait_s)
            await asyncio.sleep(min(wait_s, POLL_PAUSE_S))
            outcome = await self._try_begin(account, address, user_uid)
        return outcome

    async def _try_begin(self, account: str, address: str, user_uid: UUID | None) -> Attempt | timedelta:
        """Returns the attempt, or the time to wait before one is admitted."""
        pair_key = _pair_key(account, address)
        async with self._database.transaction() as tx:
            keys = {"pair": pair_key}
            # Queried even without an account, so that the time does not reveal whether there is one.
            if not await attempt_storage.knows_address(tx, user_uid or NOBODY, address):
                keys["account"] = f"account:{account}"
                if address:
                    keys["address"] = f"address:{address}"
            now, counters = await attempt_storage.lock_counters(tx, keys.values())
            wait = max(counter.blocked_until for counter in counters.values()) - now
            if wait > timedelta(0):
                return wait
            counted = {key: _count(LIMITS[name], counters[key], now) for name, key in keys.items()}
            await attempt_storage.write_counters(tx, counted)
        blocks = {key: counter.blocked_until for key, counter in counted.items()}
        return Attempt(address, pair_key, blocks, tuple(name for name, key in keys.items() if blocks[key] > now))

    async def succeed(self, attempt: Attempt, user_uid: UUID) -> None:
        """Takes back the failure, and records the address as one of the user's."""
        async with self._database.transaction() as tx:
            await attempt_storage.take_back(tx, attempt.blocked_until)
            await attempt_storage.reset(tx, attempt.pair_key)
            if attempt.address_hash:
                await attempt_storage.remember_address(tx, user_uid, attempt.address_hash)

    async def lift(self, tx: Connection, email: str, call: Call) -> None:
        """Forgets the failures of the caller's address at this account, whose mail the caller has read. Guesses from
        elsewhere do not lock that address out once it is known, see remember().
        """
        await attempt_storage.reset(tx, _pair_key(self.account_hash(email), self._address_hash(call)))

    async def remember(self, tx: Connection, user_uid: UUID, call: Call) -> None:
        """Records the address from which a user registers or resets the password, so that guesses from it at other
        accounts, and guesses at this one, do not lock the user out.
        """
        if address := self._address_hash(call):
            await attempt_storage.remember_address(tx, user_uid, address)

    async def cancel(self, attempt: Attempt) -> None:
        """Takes back the failure of an attempt whose password was not checked."""
        async with self._database.transaction() as tx:
            await attempt_storage.take_back(tx, attempt.blocked_until)

    async def fail_client(self, call: Call) -> None:
        """Counts a wrong secret of a workload. Raises ResourceExhausted if the address has had too many."""
        wait = await self._count_one(f"client:{self._address_hash(call)}", CLIENT_LIMIT)
        if wait > timedelta(0):
            raise too_many_attempts(wait.total_seconds())

    async def fail_token(self, call: Call) -> None:
        """Counts a forged one-time token. Raises ResourceExhausted if the address has had too many."""
        wait = await self._count_one(f"token:{self._address_hash(call)}", TOKEN_LIMIT)
        if wait > timedelta(0):
            raise _too_many("Too many wrong links. Try again later.", "TOO_MANY_WRONG_TOKENS", wait)

    async def count_mail_request(self, call: Call) -> None:
        """Counts a request for a mail. Raises ResourceExhausted if the address has made too many."""
        wait = await self._count_one(f"mails:{self._address_hash(call)}", MAIL_ADDRESS_LIMIT)
        if wait > timedelta(0):
            raise too_many_mails(wait)

    async def count_mail(self, kind: str, email: str) -> timedelta:
        """Counts a mail of a kind that somebody asked for to this account, which need not exist. Returns the time to
        wait if there were too many; then it is not counted.
        """
        return await self._count_one(f"mail:{kind}:{self.account_hash(email)}", MAIL_LIMIT)

    async def _count_one(self, key: str, limit: Limit) -> timedelta:
        """Counts under a key, unless it is blocked. Returns the time until it is not, zero if it was counted."""
        async with self._database.transaction() as tx:
            now, counters = await attempt_storage.lock_counters(tx, [key])
            wait = counters[key].blocked_until - now
            if wait > timedelta(0):
                return wait
            await attempt_storage.write_counters(tx, {key: _count(limit, counters[key], now)})
        return timedelta(0)

    def account_hash(self, username: str) -> str:
        """Returns the identifier of an account in the audit log. The account need not exist."""
        return self._hash("account", username.lower())

    def _address_hash(self, call: Call) -> str:
        network = client_network(call.client_address)
        return self._hash("address", network) if network else ""

    def _hash(self, kind: str, text: str) -> str:
        return self._cipher.fingerprint(f"{kind}:{text}")[:32]


def _pair_key(account: str, address: str) -> str:
    return f"pair:{account}:{address}"


def too_many_attempts(wait_s: float) -> ResourceExhausted:
    """Returns the error of a rejected sign-in, the same for correct and wrong passwords."""
    return ResourceExhausted(
        "Too many failed sign-ins. Try again later.",
        reason="TOO_MANY_SIGN_INS",
        retry_after_s=max(wait_s, 1.0),
    )


def too_many_mails(wait: timedelta) -> ResourceExhausted:
    """Returns the error of a request for one more mail."""
    return _too_many("Too many mails were asked for. Try again later.", "TOO_MANY_MAILS", wait)


def _too_many(message: str, reason: str, wait: timedelta) -> ResourceExhausted:
    return ResourceExhausted(message, reason=reason, retry_after_s=max(wait.total_seconds(), 1.0))


def _count(limit: Limit, counter: Counter, now: datetime) -> Counter:
    failures = counter.failures + 1
    wait = limit.wait(failures)
    return Counter(failures, now + wait, now + max(limit.forget_after, wait))
