"""The preparation of the database before the service starts: signing keys and the first staff account."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_fixed

from mesh.database import Database
from mesh.errors import Aborted, ResourceExhausted, Unavailable
from services.identity import storage
from services.identity.domain import Role
from services.identity.passwords import Passwords
from services.identity.storage import NewUser

STAFF_DISPLAY_NAME = "Staff"
RETRY_EVERY_S = 1.0

log = structlog.get_logger()


async def ensure_staff(database: Database, passwords: Passwords, email: str, password: str) -> None:
    """Creates the staff account with this address unless the address has an account.

    An existing account is not changed: its password may be a newer one, and a customer who registered with this address
    must not become staff.
    """
    async with database.transaction() as tx:
        found = await storage.find_by_email(tx, email)
    if found is None:
        password_hash = await passwords.hash(password)
        async with database.transaction() as tx:
            new = NewUser(uuid4(), email, STAFF_DISPLAY_NAME, Role.STAFF, password_hash, email_confirmed=True)
            user = await storage.insert_user(tx, new)
        if user is None:
            log.info("another replica created the staff account")
        else:
            log.info("staff account created", user=user.name)
    elif found[0].role is not Role.STAFF:
        log.warning(
            "the staff account was not created: the address in STAFF_EMAIL belongs to a customer", user=found[0].name
        )


async def until_available(step: Callable[[], Awaitable[None]]) -> None:
    """Retries a step while the database is away. The process is alive meanwhile, but not ready."""
    retrying = AsyncRetrying(
        wait=wait_fixed(RETRY_EVERY_S),
        retry=retry_if_exception_type((Unavailable, Aborted, ResourceExhausted)),
        before_sleep=_log_wait,
    )
    await retrying(step)


def _log_wait(state: RetryCallState) -> None:
    log.warning("waiting for the database", attempt=state.attempt_number)
