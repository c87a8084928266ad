"""The SQL of the audit log. Its entries name users by number, so that a user can be forgotten and the log stay."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg

from mesh.database import Connection
from mesh.pagination import Page
from mesh.position import Key
from services.analytics.people_storage import find_person, person_of

KEY_TYPES: Final[tuple[type[Key], ...]] = (datetime, int)
"""The parts of the sort key of list_entries(): event_time, sequence."""

KEPT_FOR: Final = timedelta(days=731)
"""The trigger in the database lets nobody delete an entry that is younger than two years."""

PURGED_PER_ENTRY_MAX: Final = 2

USER_PREFIX: Final = "users/"
ERASED_USER: Final = "users/-"


def _shown(column: str) -> str:
    """Returns the SQL of a name as it is shown: that of a user is restored while the user's number has a row."""
    return f"""CASE WHEN {column} LIKE 'users/~%' THEN coalesce(
        (SELECT user_name FROM people WHERE person = substr({column}, 8)::bigint), '{ERASED_USER}'
    ) ELSE {column} END"""


_SELECT: Final = f"""
    SELECT sequence, source, event_id, type, description, event_time, record_time,
        {_shown("aggregate")} AS aggregate, {_shown("actor")} AS actor
    FROM audit_entries
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """An event to be logged: who did what to which resource, and when."""

    source: str
    event_id: str
    type: str
    aggregate: str
    actor: str
    description: str
    event_time: datetime


@dataclass(frozen=True, slots=True)
class Recorded:
    """An entry of the log: its number, and when it was written."""

    sequence: int
    record_time: datetime
    entry: Entry


@dataclass(frozen=True, slots=True)
class Search:
    """The criteria of a list of entries. An empty text or None stands for any."""

    aggregate: str
    type: str
    actor: str
    start_time: datetime | None
    end_time: datetime | None

    @property
    def fingerprint(self) -> tuple[str, ...]:
        """Returns the parameters as texts."""
        return (self.aggregate, self.type, self.actor, str(self.start_time), str(self.end_time))


async def append(tx: Connection, entry: Entry) -> None:
    """Appends an entry, and deletes some that are too old."""
    await tx.execute(
        """
        INSERT INTO audit_entries (source, event_id, type, aggregate, actor, description, event_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        """,
        entry.source,
        entry.event_id,
        entry.type,
        await _stored(tx, entry.aggregate),
        await _stored(tx, entry.actor),
        entry.description,
        entry.event_time,
    )
    await tx.execute(
        """
        DELETE FROM audit_entries WHERE record_time < now() - $1::interval AND sequence = ANY(ARRAY(
            SELECT sequence FROM audit_entries ORDER BY sequence LIMIT $2
        ))
        """,
        KEPT_FOR,
        PURGED_PER_ENTRY_MAX,
    )


async def _stored(tx: Connection, name: str) -> str:
    """Returns a name as the log holds it."""
    if not name.startswith(USER_PREFIX):
        return name
    person = await person_of(tx, name)
    return ERASED_USER if person is None else _numbered(person)


def _numbered(person: int) -> str:
    return f"{USER_PREFIX}~{person}"


async def list_entries(tx: Connection, search: Search, page: Page) -> tuple[Sequence[Recorded], str]:
    """Returns a page of the entries that match, the newest first, and the next page's token."""
    arguments: list[Any] = [page.limit]
    conditions = ["true"]

    def add(condition: str, *values: object) -> None:
        conditions.append(
            condition.format(*(f"${len(arguments) + position}" for position in range(1, len(values) + 1)))
        )
        arguments.extend(values)

    for column, name in (("aggregate", search.aggregate), ("actor", search.actor)):
        if name:
            add(f"{_shown(column) if name == ERASED_USER else column} = {{}}", await _sought(tx, name))
    if search.type:
        add("type = {}", search.type)
    if search.start_time is not None:
        add("event_time >= {}", search.start_time)
    if search.end_time is not None:
        add("event_time < {}", search.end_time)
    if page.after is not None:
        add("(event_time, sequence) < ({}, {})", *page.after)
    query = f"{_SELECT} WHERE {' AND '.join(conditions)} ORDER BY event_time DESC, sequence DESC LIMIT $1"
    found = [_recorded(row) for row in await tx.fetch(query, *arguments)]
    return page.split(found, lambda each: (each.entry.event_time, each.sequence))


def _recorded(row: "asyncpg.Record") -> Recorded:
    entry = Entry(
        row["source"],
        row["event_id"],
        row["type"],
        row["aggregate"],
        row["actor"],
        row["description"],
        row["event_time"],
    )
    return Recorded(row["sequence"], row["record_time"], entry)


async def _sought(tx: Connection, name: str) -> str:
    """Returns a name as the log would hold it, for a user who is not known one that no entry has. The entries of
    deleted users have the numbers that these had, and are found by what is shown.
    """
    if not name.startswith(USER_PREFIX) or name == ERASED_USER:
        return name
    person = await find_person(tx, name)
    return USER_PREFIX if person is None else _numbered(person)
