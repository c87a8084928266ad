"""The authentication of users by their passwords, limited and audited."""

from dataclasses import dataclass

from mesh import audit
from mesh.database import Database
from mesh.errors import ResourceExhausted
from mesh.rpc import Call
from services.identity import storage
from services.identity.domain import User, may_be_email
from services.identity.passwords import Passwords
from services.identity.sign_in_limit import Attempt, SignInLimit


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A user who has proved to know the password with this hash."""

    user: User
    password_hash: str


class Authentication:
    """The check of passwords. Neither its result nor the time it takes reveals whether an account exists."""

    def __init__(self, database: Database, passwords: Passwords, limit: SignInLimit) -> None:
        self._database = database
        self._passwords = passwords
        self._limit = limit

    async def check(self, username: str, password: str, call: Call, event: str = "sign_in") -> Authenticated | None:
        """Returns the user with this address if the password is right, otherwise None. Records failures as `event` in
        the audit log.

        Raises ResourceExhausted after too many failures, even if the password is right.
        """
        found = None
        if may_be_email(username):
            async with self._database.autocommit() as connection:
                found = await storage.find_by_email(connection, username)
        user, password_hash = found or (None, None)
        account = {"account": user.name if user else "", "account_hash": self._limit.account_hash(username)}
        try:
            attempt = await self._limit.begin(username, user.uid if user else None, call)
        except ResourceExhausted as error:
            audit.record(event, call, outcome="refused", reason=error.reason, **account)
            raise
        right = await self._verified(attempt, password_hash, password)
        if not right or user is None or password_hash is None:
            audit.record(event, call, outcome="failed", reason="INVALID_GRANT", **account)
            for limit in attempt.blocks:
                audit.record("lockout", call, limit=limit, until=attempt.until.isoformat(), **account)
            return None
        await self._limit.succeed(attempt, user.uid)
        return Authenticated(user, password_hash)

    async def _verified(self, attempt: Attempt, password_hash: str | None, password: str) -> bool:
        try:
            return await self._passwords.verify(password_hash, password)
        except ResourceExhausted:
            await self._limit.cancel(attempt)  # the password was not checked
            raise
