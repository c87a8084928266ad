"""The SQL of the quota of each user: the new events of a day, since they are kept for weeks."""

from datetime import UTC, datetime

from mesh.database import Connection
from mesh.errors import ResourceExhausted
from services.analytics.past_days import until_tomorrow_s


async def check(tx: Connection, person: int | None, events_max: int) -> None:
    """Raises ResourceExhausted if a user has reported this many events today. All who are not signed in have no quota,
    because one of them could use it up: the contract limits the events of each address.
    """
    if person is None:
        return
    query = "SELECT count FROM reported_events WHERE person = $1 AND day = $2"
    now = datetime.now(UTC)
    count: int | None = await tx.fetchval(query, person, now.date())
    if count is not None and count >= events_max:
        raise ResourceExhausted(
            f"The caller may report {events_max} events on a day. Send the others tomorrow.",
            reason="EVENT_QUOTA_EXHAUSTED",
            metadata={"events_max": str(events_max)},
            retry_after_s=until_tomorrow_s(now),
        )


async def add(tx: Connection, person: int | None, events: int) -> None:
    """Counts new events of a user."""
    if person is None:
        return
    query = """
        INSERT INTO reported_events AS reported (person, day, count) VALUES ($1, $2, $3)
        ON CONFLICT (person, day) DO UPDATE SET count = reported.count + excluded.count
    """
    await tx.execute(query, person, datetime.now(UTC).date(), events)
