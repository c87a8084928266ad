"""The keys that sign access tokens: created, published before their use, replaced by age, and deleted.

They are stored in the database, so that all replicas have the same ones. Rotation uses the time of the database.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import structlog
from joserfc.jwk import ECKey

from mesh import audit
from mesh.database import Connection, Database
from mesh.errors import Aborted, ResourceExhausted, Unavailable
from services.identity import storage
from services.identity.cipher import Cipher
from services.identity.storage import StoredKey

ACCESS_TOKEN_LIFETIME_S_MAX = 3600

# A key is published this long before it signs: longer than verifiers cache the key set (cache.max_age of GetJwks), and
# than a replica can lag behind.
PUBLISHED_BEFORE = timedelta(minutes=10)
# A key stays published this long after its last signature: until the last token signed by it has expired.
PUBLISHED_AFTER = timedelta(seconds=ACCESS_TOKEN_LIFETIME_S_MAX) + PUBLISHED_BEFORE
REFRESH_EVERY_S = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class KeyRotation:
    """A change of the keys: the activation time of a new key, None if none is due, and the keys to delete."""

    activate_time: datetime | None
    retired: tuple[str, ...]

    @property
    def due(self) -> bool:
        """Returns whether there is anything to change."""
        return self.activate_time is not None or bool(self.retired)


def plan_rotation(keys: Sequence[StoredKey], now: datetime, age_max: timedelta) -> KeyRotation:
    """Plans the rotation of keys, which are in the order of their activation. A key older than `age_max` is replaced.
    If no key is active, as at the very first start or after an operator deleted it, a new one is active at once.
    """
    retired = tuple(key.kid for key, next_key in pairwise(keys) if next_key.activate_time + PUBLISHED_AFTER <= now)
    if not any(key.activate_time <= now for key in keys):
        return KeyRotation(now, retired)
    due = keys[-1].activate_time + age_max
    return KeyRotation(max(due, now + PUBLISHED_BEFORE) if now >= due - PUBLISHED_BEFORE else None, retired)


class SigningKeys:
    """The keys as of the last refresh. It is also the KeySet of this process, which needs no HTTP to read them."""

    def __init__(self, database: Database, cipher: Cipher, age_max: timedelta) -> None:
        self._database = database
        self._cipher = cipher
        self._age_max = age_max
        self._keys: dict[str, ECKey] = {}
        self._current = ""
        self._revision = 0

    async def refresh(self) -> None:
        """Loads the keys from the database, and rotates them when that is due.

        Raises FailedPrecondition if they can't be decrypted, and as Database.transaction() does.
        """
        async with self._database.transaction() as tx:
            now, stored = await storage.read_signing_keys(tx)
            if plan_rotation(stored, now, self._age_max).due:
                now, stored = await self._rotate(tx)
        known = self._keys
        self._keys = {key.kid: known.get(key.kid) or self._cipher.unseal(key.sealed, key.kid) for key in stored}
        self._revision += self._keys != known
        self._current = [key.kid for key in stored if key.activate_time <= now][-1]

    async def _rotate(self, tx: Connection) -> tuple[datetime, tuple[StoredKey, ...]]:
        """Rotates the keys, one replica at a time; returns the time of the database and all keys."""
        await storage.lock_signing_keys(tx)
        now, stored = await storage.read_signing_keys(tx)
        rotation = plan_rotation(stored, now, self._age_max)
        if rotation.activate_time is not None:
            key = ECKey.generate_key("P-256", auto_kid=True)
            assert key.kid is not None, "auto_kid"
            await storage.insert_signing_key(tx, StoredKey(key.kid, self._cipher.seal(key), rotation.activate_time))
            audit.record("signing_key_made", kid=key.kid, activate_time=rotation.activate_time.isoformat())
        if rotation.retired:
            await storage.delete_signing_keys(tx, rotation.retired)
            audit.record("signing_keys_retired", kids=rotation.retired)
        return await storage.read_signing_keys(tx)

    async def keep_fresh(self) -> None:
        """Refreshes the keys until the task is cancelled. While the database is away, the known keys stay in use."""
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            try:
                await self.refresh()
            except (Unavailable, Aborted, ResourceExhausted) as error:
                log.warning("could not refresh the signing keys", error=error.message)

    @property
    def current(self) -> ECKey:
        """Returns the key that signs now."""
        return self._keys[self._current]

    @property
    def published(self) -> tuple[ECKey, ...]:
        """Returns all published keys, in the order of their activation."""
        return tuple(self._keys.values())

    def revision(self) -> int:
        """Returns a number that changes when the keys change."""
        return self._revision

    async def find(self, kid: str) -> ECKey | None:
        """Returns the key with this identifier, None if there is no such key."""
        return self._keys.get(kid)
