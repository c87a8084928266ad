"""The SQL of participants and of open streams. Every function runs in its caller's transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from mesh.database import Connection
from mesh.pagination import Page
from mesh.position import Key
from services.support.domain import Actor, Participant
from services.support.erasure_storage import ERASED_USERS

# The sort key of list_participants(): user.
KEY_TYPES: tuple[type[Key], ...] = (str,)

EXPIRES_AFTER = timedelta(seconds=30)
"""The time after which a stream that its replica has not renewed counts as gone."""

EXPIRED_MAX = 100
PARTICIPANTS_READ_MAX = 100

_PARTICIPANTS = """
    SELECT conversation_uid, user_name, staff, last_seen_time, EXISTS (
        SELECT FROM open_streams AS open
        WHERE open.conversation_uid = participants.conversation_uid AND open.user_name = participants.user_name
        AND renew_time > now() - $2::interval
    ) AS connected
    FROM participants WHERE conversation_uid = $1
"""


@dataclass(frozen=True, slots=True)
class OpenStream:
    """An open stream of a conversation."""

    uid: UUID
    conversation: UUID
    actor: Actor


async def renew(tx: Connection, streams: Collection[OpenStream]) -> Sequence[UUID]:
    """Writes that these streams are open, and that their users are participants. Returns the conversations of those
    streams that are new. Streams of conversations and users that are erased are left out.
    """
    if not streams:
        return []
    uids = [each.uid for each in streams]
    written = {row["uid"] for row in await tx.fetch("SELECT uid FROM open_streams WHERE uid = ANY($1)", uids)}
    opened = await _insert(tx, [each for each in streams if each.uid not in written])
    # An erasure that has deleted some of these meanwhile needs no lock: they are not inserted again.
    await tx.execute(
        """
        UPDATE open_streams SET renew_time = now() WHERE uid = ANY(ARRAY(
            SELECT uid FROM open_streams WHERE uid = ANY($1) ORDER BY uid FOR UPDATE
        ))
        """,
        list(written),
    )
    for conversation, actor in sorted({(each.conversation, each.actor) for each in opened}, key=_order):
        await record_presence(tx, conversation, actor)
    return [each.conversation for each in opened]


async def _insert(tx: Connection, streams: Collection[OpenStream]) -> Sequence[OpenStream]:
    """Inserts streams, but for those of conversations and users that are erased; returns those that are inserted. The
    locks of the users keep their erasures waiting, and are taken in one order before those of rows. Conversations are
    shared in the order in which erasures lock them: one that is erased meanwhile is not found afterwards, while the
    foreign key alone would fail.
    """
    for user in sorted({each.actor.subject for each in streams}):
        await ERASED_USERS.lock(tx, user, shared=True)
    conversations = [each.conversation for each in streams]
    await tx.execute("SELECT FROM conversations WHERE uid = ANY($1) ORDER BY uid FOR KEY SHARE", conversations)
    rows = await tx.fetch(
        """
        INSERT INTO open_streams (uid, conversation_uid, user_name, renew_time)
        SELECT given.uid, conversation_uid, user_name, now()
        FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS given (uid, conversation_uid, user_name)
        WHERE EXISTS (SELECT FROM conversations WHERE conversations.uid = conversation_uid)
        AND NOT EXISTS (SELECT FROM erased_users AS erased WHERE erased.user_name = given.user_name)
        RETURNING uid
        """,
        [each.uid for each in streams],
        conversations,
        [each.actor.subject for each in streams],
    )
    inserted = {row["uid"] for row in rows}
    return [each for each in streams if each.uid in inserted]


def _order(seen: tuple[UUID, Actor]) -> tuple[UUID, str]:
    """Returns the position of a participant's row in the order in which all replicas write them, here and in end(), so
    that none waits for another one in a circle.
    """
    return seen[0], seen[1].subject


async def record_presence(tx: Connection, conversation: UUID, actor: Actor) -> None:
    """Records that a user is in a conversation now. The transaction must have locked or shared the user, and found it
    not to be erased.
    """
    query = """
        INSERT INTO participants AS seen (conversation_uid, user_name, staff, last_seen_time) VALUES ($1, $2, $3, now())
        ON CONFLICT (conversation_uid, user_name) DO UPDATE
        SET staff = excluded.staff, last_seen_time = greatest(seen.last_seen_time, excluded.last_seen_time)
    """
    await tx.execute(query, conversation, actor.subject, actor.staff)


async def end(tx: Connection, closed: Collection[UUID]) -> Sequence[UUID]:
    """Deletes the streams that were closed, and some that have expired. Returns their conversations.

    Those that were closed are locked first, in one order. For expired ones it waits for nobody.
    """
    rows = await tx.fetch(
        """
        WITH closed AS (
            SELECT uid FROM open_streams WHERE uid = ANY($1::uuid[]) ORDER BY uid FOR UPDATE
        ), expired AS (
            SELECT uid FROM open_streams WHERE renew_time <= now() - $2::interval
            ORDER BY renew_time LIMIT $3 FOR UPDATE SKIP LOCKED
        ), ended AS (
            DELETE FROM open_streams WHERE uid = ANY(ARRAY(SELECT uid FROM closed) || ARRAY(SELECT uid FROM expired))
            RETURNING conversation_uid, user_name,
                CASE WHEN uid = ANY($1::uuid[]) THEN now() ELSE renew_time END AS end_time
        ), seen AS (
            SELECT conversation_uid, user_name, max(end_time) AS end_time FROM ended
            GROUP BY conversation_uid, user_name
        ), locked AS (
            SELECT conversation_uid, user_name, end_time FROM participants JOIN seen USING (conversation_uid, user_name)
            ORDER BY conversation_uid, user_name COLLATE "C" FOR NO KEY UPDATE OF participants
        )
        UPDATE participants SET last_seen_time = greatest(last_seen_time, end_time) FROM locked
        WHERE participants.conversation_uid = locked.conversation_uid AND participants.user_name = locked.user_name
        RETURNING participants.conversation_uid
        """,
        list(closed),
        EXPIRES_AFTER,
        EXPIRED_MAX,
    )
    return [row["conversation_uid"] for row in rows]


async def read_participants(tx: Connection, conversation: UUID) -> Sequence[Participant]:
    """Returns the participants of a conversation, at most PARTICIPANTS_READ_MAX."""
    query = f"{_PARTICIPANTS} ORDER BY user_name LIMIT {PARTICIPANTS_READ_MAX}"
    return [_participant(row) for row in await tx.fetch(query, conversation, EXPIRES_AFTER)]


async def list_participants(tx: Connection, conversation: UUID, page: Page) -> tuple[Sequence[Participant], str]:
    """Returns a page of the participants of a conversation, by user, and the next page's token."""
    query = f"{_PARTICIPANTS} {'AND user_name > $4' if page.after else ''} ORDER BY user_name LIMIT $3"
    rows = await tx.fetch(query, conversation, EXPIRES_AFTER, page.limit, *(page.after or ()))
    return page.split([_participant(row) for row in rows], lambda each: (each.user,))


def _participant(row: "asyncpg.Record") -> Participant:
    return Participant(row["conversation_uid"], row["user_name"], row["staff"], row["connected"], row["last_seen_time"])
