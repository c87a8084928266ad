"""How often passwords may be guessed: failures are counted in the database, so that the limit holds over replicas.

docs/decisions/0021-guessing-and-mail.md has the reasons.
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
    """So many failures cost no wait; the next ones do, each twice as long as the one before. A counter is forgotten
    when it was quiet for a while.
    """

    free_failures: int
    wait_first: timedelta
    wait_max: timedelta
    forget_after: timedelta

    def wait(self, failures: int) -> timedelta:
        """How long nobody may try after this many failures."""
        over = failures - self.free_failures
        if over < 0:
            return timedelta(0)
        doubled = self.wait_first * int(2 ** min(over, 20))
        return min(doubled, self.wait_max)


LIMITS: Mapping[str, Limit] = {
    # One address guesses at one account.
    "pair": Limit(5, timedelta(seconds=1), timedelta(minutes=15), timedelta(days=1)),
    # Many addresses guess at one account: where its owner has signed in before, this one does not count.
    "account": Limit(20, timedelta(seconds=1), timedelta(minutes=5), timedelta(days=1)),
    # One address guesses at many accounts; an office may share it.
    "address": Limit(50, timedelta(seconds=1), timedelta(minutes=5), timedelta(hours=1)),
}
# One address guesses at the secrets of workloads. A right secret is never refused: there is nothing to guess.
CLIENT_LIMIT = Limit(20, timedelta(seconds=1), timedelta(minutes=5), timedelta(hours=1))

NOBODY = UUID(int=0)
PATIENCE_S = 1.2
LOOK_EVERY_S = 0.25


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in that may be tried, counted as failed until it succeeds. `blocked_until` is by key; `blocks` are the
    limits that admit no other attempt for a while if it fails.
    """

    address_hash: str
    pair_key: str
    blocked_until: Mapping[str, datetime]
    blocks: tuple[str, ...]

    @property
    def until(self) -> datetime:
        """Until when there is no other attempt if this one fails."""
        return max(self.blocked_until.values())


class SignInLimit:
    """Counts failed sign-ins and refuses more, whatever the password, until the wait is over."""

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher

    async def begin(self, username: str, user_uid: UUID | None, call: Call) -> Attempt:
        """Counts an attempt before the password is looked at, so that many at once are many. The account need not
        exist. Raises ResourceExhausted with the time to wait; a short one is waited for here, because several sign-ins
        of one user at once count as failures until the first succeeds.
        """
        account, address = self.account_hash(username), self._address_hash(call)
        patient_until = time.monotonic() + PATIENCE_S
        outcome = await self._try_begin(account, address, user_uid)
        while isinstance(outcome, timedelta):
            wait_s = outcome.total_seconds()
            if time.monotonic() + wait_s > patient_until:
                raise too_many_attempts(wait_s)
            await asyncio.sleep(min(wait_s, LOOK_EVERY_S))
            outcome = await self._try_begin(account, address, user_uid)
        return outcome

    async def _try_begin(self, account: str, address: str, user_uid: UUID | None) -> Attempt | timedelta:
        """The attempt, or how long to wait for one."""
        pair_key = f"pair:{account}:{address}"
        async with self._database.transaction() as tx:
            keys = {"pair": pair_key}
            # Asked for nobody too: an account must not be told by the time that a query takes.
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
        """Takes a failure back, and remembers the address as one of the owner's."""
        async with self._database.transaction() as tx:
            await attempt_storage.take_back(tx, attempt.blocked_until, attempt.blocked_until)
            await attempt_storage.reset(tx, attempt.pair_key)
            if attempt.address_hash:
                await attempt_storage.remember_address(tx, user_uid, attempt.address_hash)

    async def remember(self, tx: Connection, user_uid: UUID, call: Call) -> None:
        """Notes that a user registers from this address: a crowd of guesses from it does not keep the user out."""
        if address := self._address_hash(call):
            await attempt_storage.remember_address(tx, user_uid, address)

    async def cancel(self, attempt: Attempt) -> None:
        """Takes a failure back that was none: the password has not been looked at."""
        async with self._database.transaction() as tx:
            await attempt_storage.take_back(tx, attempt.blocked_until, attempt.blocked_until)

    async def fail_client(self, call: Call) -> None:
        """Counts a wrong secret of a workload. Raises ResourceExhausted if the address has had too many."""
        key = f"client:{self._address_hash(call)}"
        async with self._database.transaction() as tx:
            now, counters = await attempt_storage.lock_counters(tx, [key])
            wait = counters[key].blocked_until - now
            if wait <= timedelta(0):
                await attempt_storage.write_counters(tx, {key: _count(CLIENT_LIMIT, counters[key], now)})
        if wait > timedelta(0):
            raise too_many_attempts(wait.total_seconds())

    def account_hash(self, username: str) -> str:
        """The name of an account in the audit log, which need not exist."""
        return self._hash("account", username.lower())

    def _address_hash(self, call: Call) -> str:
        network = client_network(call.client_address)
        return self._hash("address", network) if network else ""

    def _hash(self, kind: str, text: str) -> str:
        return self._cipher.fingerprint(f"{kind}:{text}")[:32]


def too_many_attempts(wait_s: float) -> ResourceExhausted:
    """The refusal of a sign-in, the same for right and wrong passwords."""
    return ResourceExhausted(
        "Too many failed sign-ins. Wait, then try again.",
        reason="TOO_MANY_SIGN_INS",
        retry_after_s=max(wait_s, 1.0),
    )


def _count(limit: Limit, counter: Counter, now: datetime) -> Counter:
    failures = counter.failures + 1
    wait = limit.wait(failures)
    return Counter(failures, now + wait, now + max(limit.forget_after, wait))
