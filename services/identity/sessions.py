"""The sessions of users: sign-ins, each a family of refresh tokens with its access tokens."""

from collections.abc import Collection, Sequence
from uuid import UUID

from mesh import audit
from mesh.database import Connection, Database
from mesh.identity import Caller, ended_id
from mesh.pagination import read_page
from mesh.rpc import Call
from services.identity import code_storage, session_storage
from services.identity.domain import Session, own_session, own_uid, unknown_session
from services.identity.ended_tokens import EndedTokenList


class Sessions:
    """The sessions that have not ended."""

    def __init__(self, database: Database, ended: EndedTokenList) -> None:
        self._database = database
        self._ended = ended

    async def list(self, parent: str, page_size: int, page_token: str, call: Call) -> tuple[Sequence[Session], str]:
        """Returns a page of the caller's own sessions, and the next page's token."""
        uid = own_uid(parent, call.caller.subject)
        page = read_page(page_size, page_token, query=(str(uid),), key_types=session_storage.KEY_TYPES)
        async with self._database.transaction() as tx:
            return await session_storage.list_sessions(tx, uid, page)

    async def delete(self, name: str, call: Call) -> None:
        """Ends one of the caller's own sessions, and returns when all verifiers know."""
        uid, session = own_session(name, call.caller.subject)
        async with self._database.transaction() as tx:
            if not await session_storage.delete_session(tx, uid, session):
                raise unknown_session()
            sequence = await self._ended.end(tx, "sid", str(session))
        await self._ended.wait_until_read(sequence)
        audit.record("session_ended", call, session=str(session))

    async def end_all(self, tx: Connection, user_uid: UUID, *, but: Caller | None = None) -> int:
        """Ends all sessions of a user that the transaction has locked, also those that are about to begin by a code,
        as its last step; keeps the one in which this
        caller calls. Returns the sequence to pass to EndedTokenList.wait_until_read().
        """
        sessions = await session_storage.session_ids(tx, user_uid)
        ending = [session for session in sessions if but is None or not is_current(session, but.ended_ids)]
        await session_storage.delete_sessions(tx, ending)
        await code_storage.delete_codes(tx, user_uid)
        return await self._ended.end_each(tx, "sid", map(str, ending))


def is_current(session: UUID, ended_ids: Collection[str]) -> bool:
    """Returns whether a session is the one of the caller with these ended_ids."""
    return ended_id("sid", str(session)) in ended_ids
