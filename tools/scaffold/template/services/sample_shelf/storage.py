"""Sample notes in PostgreSQL. Every function runs in the transaction of its caller."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from mesh.database import Connection, lock_relation
from mesh.pagination import Page
from mesh.position import Key
from services.sample_shelf.domain import Details, SampleNote

LIST_KEY_TYPES: Final[tuple[type[Key], ...]] = (datetime, UUID)
"""The sort key of list_sample_notes(): create_time, uid."""

CHANGE_KEY_TYPES: Final[tuple[type[Key], ...]] = (int,)
"""The position of a change."""

CHANGES_MAX: Final = 100

_COLUMNS: Final = "uid, owner, display_name, description, create_time, update_time, delete_time, version"


async def insert(tx: Connection, sample_note: SampleNote) -> None:
    """Inserts a new sample note."""
    await lock_relation(tx, "sample_notes")
    await tx.execute(
        f"""
        INSERT INTO sample_notes ({_COLUMNS}, change)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, nextval('sample_notes_change'))
        """,
        *_values(sample_note),
    )


async def update(tx: Connection, sample_note: SampleNote) -> None:
    """Updates a sample note. find(…, lock=True) must have locked its row."""
    await lock_relation(tx, "sample_notes")
    await tx.execute(
        f"""
        UPDATE sample_notes SET ({_COLUMNS}, change) =
            ($1, $2, $3, $4, $5, $6, $7, $8, nextval('sample_notes_change'))
        WHERE uid = $1
        """,
        *_values(sample_note),
    )


def _values(sample_note: SampleNote) -> tuple[object, ...]:
    return (
        sample_note.uid,
        sample_note.owner,
        sample_note.details.display_name,
        sample_note.details.description,
        sample_note.create_time,
        sample_note.update_time,
        sample_note.delete_time,
        sample_note.version,
    )


async def find(tx: Connection, uid: UUID, *, lock: bool = False) -> SampleNote | None:
    """Returns a sample note, deleted or not. `lock` locks its row until the transaction ends."""
    query = f"SELECT {_COLUMNS} FROM sample_notes WHERE uid = $1"
    row = await tx.fetchrow(f"{query} FOR UPDATE" if lock else query, uid)
    return None if row is None else _sample_note(row)


async def list_sample_notes(tx: Connection, owner: str, page: Page) -> tuple[Sequence[SampleNote], str]:
    """Returns a page of a user's sample notes, the newest first, and the token of the next page."""
    after = "AND (create_time, uid) < ($3, $4)" if page.after else ""
    query = f"""
        SELECT {_COLUMNS} FROM sample_notes WHERE owner = $1 AND delete_time IS NULL {after}
        ORDER BY create_time DESC, uid DESC LIMIT $2
    """
    rows = await tx.fetch(query, owner, page.limit, *(page.after or ()))
    return page.split([_sample_note(row) for row in rows], lambda each: (each.create_time, each.uid))


async def list_changes(tx: Connection, owner: str, after: Sequence[Key] | None) -> list[tuple[int, SampleNote]]:
    """Returns a user's sample notes that changed after this position, or all of them if it is None.

    Each one, including deleted ones, is returned once, with the position of its last change and in that order. At most
    CHANGES_MAX are returned.
    """
    query = f"""
        SELECT {_COLUMNS}, change FROM sample_notes
        WHERE owner = $1 AND change > $2 ORDER BY change LIMIT {CHANGES_MAX}
    """
    rows = await tx.fetch(query, owner, *(after or (0,)))
    return [(row["change"], _sample_note(row)) for row in rows]


def _sample_note(row: "asyncpg.Record") -> SampleNote:
    return SampleNote(
        row["uid"],
        row["owner"],
        Details(row["display_name"], row["description"]),
        row["create_time"],
        row["update_time"],
        row["delete_time"],
        row["version"],
    )
