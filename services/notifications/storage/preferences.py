"""The table of preferences."""

import json

from mesh.database import Connection
from services.notifications.domain.notification import Channel, Kind
from services.notifications.domain.preferences import Preferences


async def find(tx: Connection, user: str) -> Preferences:
    """Returns the preferences of a user, the defaults if nothing was ever chosen."""
    row = await tx.fetchrow(
        "SELECT channels, phone_number, update_time, version FROM preferences WHERE user_name = $1", user
    )
    if row is None:
        return Preferences(user)
    channels = {
        Kind(kind): frozenset(Channel(channel) for channel in chosen)
        for kind, chosen in json.loads(row["channels"]).items()
    }
    return Preferences(user, channels, row["phone_number"], row["update_time"], row["version"])


async def write(tx: Connection, preferences: Preferences) -> None:
    """Writes preferences, under the lock of their user (user_lock.take)."""
    channels = {kind.value: sorted(chosen) for kind, chosen in preferences.channels.items()}
    await tx.execute(
        """
        INSERT INTO preferences (user_name, channels, phone_number, update_time, version) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (user_name) DO UPDATE SET
            channels = excluded.channels, phone_number = excluded.phone_number,
            update_time = excluded.update_time, version = excluded.version
        """,
        preferences.user,
        json.dumps(channels),
        preferences.phone_number,
        preferences.update_time,
        preferences.version,
    )


async def delete_of(tx: Connection, user: str) -> None:
    """Deletes the preferences of a user."""
    await tx.execute("DELETE FROM preferences WHERE user_name = $1", user)
