"""SampleShelfService over real channels, with a real PostgreSQL."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from meshwright.sample_shelf.v1.events_pb import SampleNoteChanged
from meshwright.sample_shelf.v1.sample_shelf_grpc import SampleShelfServiceClient
from meshwright.sample_shelf.v1.sample_shelf_pb import (
    CreateSampleNoteRequest,
    DeleteSampleNoteRequest,
    GetSampleNoteRequest,
    ListSampleNotesRequest,
    SampleNote,
    UpdateSampleNoteRequest,
    WatchSampleNotesRequest,
)
from protobuf.wkt import FieldMask

from mesh.database import Database
from mesh.errors import Aborted, InvalidArgument, NotFound, PermissionDenied
from services.sample_shelf.handlers import SampleShelfHandlers
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving


@pytest.fixture
def issuer() -> Issuer:
    """Returns the issuer of the tokens of this test."""
    return Issuer()


@contextlib.asynccontextmanager
async def running(issuer: Issuer, database: Database) -> AsyncIterator[SampleShelfServiceClient]:
    """Starts a process of the service and yields a client of it."""
    async with (
        serving(issuer, SampleShelfHandlers(database, watch_every_s=0.05)) as port,
        channel_to(port, "sample_shelf") as channel,
    ):
        yield SampleShelfServiceClient(channel)


@pytest.fixture
async def client(issuer: Issuer, database: Database) -> AsyncIterator[SampleShelfServiceClient]:
    """Yields a client of the service."""
    async with running(issuer, database) as client:
        yield client


@pytest.fixture
def ada(issuer: Issuer) -> Iterator[None]:
    """Makes calls as the user Ada."""
    with acting_with(issuer.token("users/ada", "profile")):
        yield


async def create(client: SampleShelfServiceClient, display_name: str = "First", request_id: str = "") -> SampleNote:
    """Creates a sample note."""
    new = SampleNote(display_name=display_name, description="Something")
    return await client.create_sample_note(CreateSampleNoteRequest(sample_note=new, request_id=request_id))


@pytest.mark.usefixtures("ada")
async def test_it_is_read_as_it_was_created(client: SampleShelfServiceClient) -> None:
    """The response has the fields that the service sets, and its name can be read and listed."""
    created = await create(client)
    assert (created.name, created.owner, created.etag) == (f"sampleNotes/{created.uid}", "users/ada", "1")
    assert await client.get_sample_note(GetSampleNoteRequest(name=created.name)) == created
    listed = await client.list_sample_notes(ListSampleNotesRequest())
    assert (listed.sample_notes, listed.next_page_token) == ([created], "")


@pytest.mark.usefixtures("ada")
async def test_a_retry_creates_no_second_one(client: SampleShelfServiceClient) -> None:
    """The same request_id returns the first response again (AIP-155)."""
    request_id = str(uuid4())
    created = await create(client, request_id=request_id)
    assert await create(client, request_id=request_id) == created
    assert len((await client.list_sample_notes(ListSampleNotesRequest())).sample_notes) == 1


@pytest.mark.usefixtures("ada")
async def test_an_update_changes_the_fields_in_the_mask(client: SampleShelfServiceClient) -> None:
    """Other fields stay the same. Output-only fields in the mask and stale etags are rejected."""
    created = await create(client)
    patch = SampleNote(name=created.name, display_name="Second", etag=created.etag)
    request = UpdateSampleNoteRequest(sample_note=patch, update_mask=FieldMask(paths=["display_name"]))
    updated = await client.update_sample_note(request)
    assert (updated.display_name, updated.description, updated.etag) == ("Second", "Something", "2")
    with pytest.raises(Aborted):
        await client.update_sample_note(request)
    request = UpdateSampleNoteRequest(sample_note=patch, update_mask=FieldMask(paths=["owner"]))
    with pytest.raises(InvalidArgument):
        await client.update_sample_note(request)


@pytest.mark.usefixtures("ada")
async def test_a_deleted_one_is_not_found(client: SampleShelfServiceClient) -> None:
    """A deletion returns the last state with `delete_time`; afterwards it is neither found nor listed."""
    created = await create(client)
    deleted = await client.delete_sample_note(DeleteSampleNoteRequest(name=created.name))
    assert deleted.delete_time is not None
    with pytest.raises(NotFound):
        await client.get_sample_note(GetSampleNoteRequest(name=created.name))
    assert (await client.list_sample_notes(ListSampleNotesRequest())).sample_notes == []


async def test_other_users_have_no_access(client: SampleShelfServiceClient, issuer: Issuer) -> None:
    """Other users get NOT_FOUND, and tokens without the scope get PERMISSION_DENIED."""
    with acting_with(issuer.token("users/ada", "profile")):
        created = await create(client)
    with acting_with(issuer.token("users/bob", "profile")):
        with pytest.raises(NotFound):
            await client.get_sample_note(GetSampleNoteRequest(name=created.name))
        with pytest.raises(NotFound):
            await client.delete_sample_note(DeleteSampleNoteRequest(name=created.name))
        assert (await client.list_sample_notes(ListSampleNotesRequest())).sample_notes == []
    with acting_with(issuer.token("users/ada", "")), pytest.raises(PermissionDenied):
        await client.get_sample_note(GetSampleNoteRequest(name=created.name))


@pytest.mark.usefixtures("ada")
async def test_each_change_is_published(client: SampleShelfServiceClient, database: Database) -> None:
    """Events contain the state after the change; an update without a change publishes no event."""
    created = await create(client)
    patch = SampleNote(name=created.name, display_name="Second")
    updated = await client.update_sample_note(UpdateSampleNoteRequest(sample_note=patch))
    await client.update_sample_note(UpdateSampleNoteRequest(sample_note=patch))
    deleted = await client.delete_sample_note(DeleteSampleNoteRequest(name=created.name))
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT source, aggregate, payload FROM mesh.outbox ORDER BY id")
    assert [SampleNoteChanged.from_binary(row["payload"]).sample_note for row in rows] == [created, updated, deleted]
    assert {(row["source"], row["aggregate"]) for row in rows} == {("sample_shelf", created.name)}


@pytest.mark.usefixtures("ada")
async def test_a_stream_continues_at_another_process(issuer: Issuer, database: Database) -> None:
    """A stream reports what exists, changes in any process, and after a resume token only later changes."""
    async with running(issuer, database) as here, running(issuer, database) as there:
        first = await create(here)
        async with here.watch_sample_notes(WatchSampleNotesRequest()) as responses:
            response = await anext(responses)
            assert response.sample_note == first
            second = await create(there, "Second")
            assert (await anext(responses)).sample_note == second
        deleted = await here.delete_sample_note(DeleteSampleNoteRequest(name=first.name))
        request = WatchSampleNotesRequest(resume_token=response.resume_token)
        async with there.watch_sample_notes(request) as responses:
            assert [(await anext(responses)).sample_note for _ in range(2)] == [second, deleted]


@pytest.mark.usefixtures("ada")
async def test_an_invalid_resume_token_is_rejected(client: SampleShelfServiceClient) -> None:
    """The error of an invalid resume token names the field."""
    request = WatchSampleNotesRequest(resume_token="e30")
    with pytest.raises(InvalidArgument) as caught:
        async with client.watch_sample_notes(request) as responses:
            await anext(responses)
    assert [violation.field for violation in caught.value.violations] == ["resume_token"]
