"""The methods of SampleShelfService."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from meshwright.sample_shelf.v1.events_pb import SampleNoteChanged
from meshwright.sample_shelf.v1.sample_shelf_grpc import SampleShelfServiceBase
from meshwright.sample_shelf.v1.sample_shelf_pb import (
    CreateSampleNoteRequest,
    DeleteSampleNoteRequest,
    GetSampleNoteRequest,
    ListSampleNotesRequest,
    ListSampleNotesResponse,
    UpdateSampleNoteRequest,
    WatchSampleNotesRequest,
    WatchSampleNotesResponse,
)
from meshwright.sample_shelf.v1.sample_shelf_pb import SampleNote as SampleNoteMessage
from protobuf.wkt import Timestamp

from mesh.database import Connection, Database
from mesh.events import publish
from mesh.field_mask import apply_update
from mesh.idempotency import once
from mesh.pagination import read_page
from mesh.resume import read_resume_token
from mesh.rpc import Call
from services.sample_shelf import storage
from services.sample_shelf.domain import Details, SampleNote, owned, uid_of

SOURCE: Final = "sample_shelf"
UPDATABLE: Final = frozenset({"display_name", "description"})
PAGE_SIZE_MAX: Final = 200
WATCH_EVERY_S: Final = 1.0


class SampleShelfHandlers(SampleShelfServiceBase):
    """The handlers of sample notes. A change and its event are written in one transaction."""

    def __init__(self, database: Database, *, watch_every_s: float = WATCH_EVERY_S) -> None:
        self._database = database
        self._watch_every_s = watch_every_s

    async def create_sample_note(self, request: CreateSampleNoteRequest, call: Call) -> SampleNoteMessage:
        """Creates a sample note, once for each request_id."""
        details = _details(request.sample_note or SampleNoteMessage())
        async with self._database.transaction() as tx:
            return await once(tx, call, request, partial(_create, tx, call.caller.subject, details))

    async def get_sample_note(self, request: GetSampleNoteRequest, call: Call) -> SampleNoteMessage:
        """Returns one of the caller's sample notes."""
        uid = uid_of(request.name)
        async with self._database.transaction() as tx:
            return _message(owned(await storage.find(tx, uid), call.caller.subject))

    async def list_sample_notes(self, request: ListSampleNotesRequest, call: Call) -> ListSampleNotesResponse:
        """Returns a page of the caller's sample notes."""
        owner = call.caller.subject
        page = read_page(
            request.page_size,
            request.page_token,
            query=(owner,),
            key_types=storage.LIST_KEY_TYPES,
            size_max=PAGE_SIZE_MAX,
        )
        async with self._database.transaction() as tx:
            found, next_page_token = await storage.list_sample_notes(tx, owner, page)
        return ListSampleNotesResponse(sample_notes=[_message(each) for each in found], next_page_token=next_page_token)

    async def update_sample_note(self, request: UpdateSampleNoteRequest, call: Call) -> SampleNoteMessage:
        """Updates the fields in the update mask."""
        patch = request.sample_note or SampleNoteMessage()

        def updated(current: SampleNote) -> SampleNote:
            wanted = apply_update(_message(current), patch, request.update_mask, updatable=UPDATABLE)
            return current.update(_details(wanted), patch.etag, datetime.now(UTC))

        return await self._change(uid_of(patch.name), call.caller.subject, updated)

    async def delete_sample_note(self, request: DeleteSampleNoteRequest, call: Call) -> SampleNoteMessage:
        """Marks a sample note as deleted, so that streams can report it."""
        return await self._change(
            uid_of(request.name),
            call.caller.subject,
            lambda current: current.delete(request.etag, datetime.now(UTC)),
        )

    async def watch_sample_notes(
        self, request: WatchSampleNotesRequest, call: Call
    ) -> AsyncIterator[WatchSampleNotesResponse]:
        """Polls the changes after the last one that was sent, so that any replica can resume a stream."""
        owner = call.caller.subject
        resume = read_resume_token(request.resume_token, query=("watch", owner), key_types=storage.CHANGE_KEY_TYPES)
        after = resume.after
        while True:
            async with self._database.transaction() as tx:
                changes = await storage.list_changes(tx, owner, after)
            for position, changed in changes:
                after = (position,)
                yield WatchSampleNotesResponse(sample_note=_message(changed), resume_token=resume.token(position))
            if not changes:
                await asyncio.sleep(self._watch_every_s)

    async def _change(self, uid: UUID, owner: str, change: Callable[[SampleNote], SampleNote]) -> SampleNoteMessage:
        """Changes a sample note under a row lock, and publishes an event if anything changed."""
        async with self._database.transaction() as tx:
            current = owned(await storage.find(tx, uid, lock=True), owner)
            changed = change(current)
            message = _message(changed)
            if changed is not current:
                await storage.update(tx, changed)
                await publish(tx, SampleNoteChanged(sample_note=message), source=SOURCE, aggregate=changed.name)
        return message


async def _create(tx: Connection, owner: str, details: Details) -> SampleNoteMessage:
    created = SampleNote.create(uuid4(), owner, details, datetime.now(UTC))
    await storage.insert(tx, created)
    message = _message(created)
    await publish(tx, SampleNoteChanged(sample_note=message), source=SOURCE, aggregate=created.name)
    return message


def _details(message: SampleNoteMessage) -> Details:
    return Details.checked(message.display_name, message.description)


def _message(sample_note: SampleNote) -> SampleNoteMessage:
    return SampleNoteMessage(
        name=sample_note.name,
        uid=str(sample_note.uid),
        owner=sample_note.owner,
        display_name=sample_note.details.display_name,
        description=sample_note.details.description,
        create_time=Timestamp.from_datetime(sample_note.create_time),
        update_time=Timestamp.from_datetime(sample_note.update_time),
        delete_time=None if sample_note.delete_time is None else Timestamp.from_datetime(sample_note.delete_time),
        etag=sample_note.etag,
    )
