"""InventoryService over real channels, with a real PostgreSQL."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from meshwright.inventory.v1.events_pb import InventoryChanged
from meshwright.inventory.v1.inventory_grpc import InventoryServiceClient
from meshwright.inventory.v1.inventory_pb import (
    CreateInventoryRequest,
    DeleteInventoryRequest,
    GetInventoryRequest,
    Inventory,
    ListInventoriesRequest,
    UpdateInventoryRequest,
    WatchInventoriesRequest,
)
from protobuf.wkt import FieldMask

from mesh.database import Database
from mesh.errors import Aborted, InvalidArgument, NotFound, PermissionDenied
from services.inventory.handlers import InventoryHandlers
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving


@pytest.fixture
def issuer() -> Issuer:
    """The issuer of the tokens of this test."""
    return Issuer()


@contextlib.asynccontextmanager
async def running(issuer: Issuer, database: Database) -> AsyncIterator[InventoryServiceClient]:
    """A process of the service, and a client of it."""
    async with (
        serving(issuer, InventoryHandlers(database, watch_every_s=0.05)) as port,
        channel_to(port, "inventory") as channel,
    ):
        yield InventoryServiceClient(channel)


@pytest.fixture
async def client(issuer: Issuer, database: Database) -> AsyncIterator[InventoryServiceClient]:
    """A client of the service."""
    async with running(issuer, database) as client:
        yield client


@pytest.fixture
def ada(issuer: Issuer) -> Iterator[None]:
    """Calls are made as Ada."""
    with acting_with(issuer.token("users/ada", "profile")):
        yield


async def create(client: InventoryServiceClient, display_name: str = "First", request_id: str = "") -> Inventory:
    """Creates an inventory."""
    new = Inventory(display_name=display_name, description="Something")
    return await client.create_inventory(CreateInventoryRequest(inventory=new, request_id=request_id))


@pytest.mark.usefixtures("ada")
async def test_it_is_read_as_it_was_created(client: InventoryServiceClient) -> None:
    """The response has what the service decides, and can be read and listed."""
    created = await create(client)
    assert (created.name, created.owner, created.etag) == (f"inventories/{created.uid}", "users/ada", "1")
    assert await client.get_inventory(GetInventoryRequest(name=created.name)) == created
    listed = await client.list_inventories(ListInventoriesRequest())
    assert (listed.inventories, listed.next_page_token) == ([created], "")


@pytest.mark.usefixtures("ada")
async def test_a_repeated_request_creates_nothing_more(client: InventoryServiceClient) -> None:
    """The same request_id gives the first response again (AIP-155)."""
    request_id = str(uuid4())
    created = await create(client, request_id=request_id)
    assert await create(client, request_id=request_id) == created
    assert len((await client.list_inventories(ListInventoriesRequest())).inventories) == 1


@pytest.mark.usefixtures("ada")
async def test_an_update_changes_what_the_mask_names(client: InventoryServiceClient) -> None:
    """Other fields stay, output only ones are refused, and an outdated etag is ABORTED."""
    created = await create(client)
    patch = Inventory(name=created.name, display_name="Second", etag=created.etag)
    request = UpdateInventoryRequest(inventory=patch, update_mask=FieldMask(paths=["display_name"]))
    updated = await client.update_inventory(request)
    assert (updated.display_name, updated.description, updated.etag) == ("Second", "Something", "2")
    with pytest.raises(Aborted):
        await client.update_inventory(request)
    request = UpdateInventoryRequest(inventory=patch, update_mask=FieldMask(paths=["owner"]))
    with pytest.raises(InvalidArgument):
        await client.update_inventory(request)


@pytest.mark.usefixtures("ada")
async def test_a_deleted_one_is_gone(client: InventoryServiceClient) -> None:
    """It is returned once more, with the time, and neither found nor listed afterwards."""
    created = await create(client)
    deleted = await client.delete_inventory(DeleteInventoryRequest(name=created.name))
    assert deleted.delete_time is not None
    with pytest.raises(NotFound):
        await client.get_inventory(GetInventoryRequest(name=created.name))
    assert (await client.list_inventories(ListInventoriesRequest())).inventories == []


async def test_nobody_sees_those_of_others(client: InventoryServiceClient, issuer: Issuer) -> None:
    """Another user finds nothing, and a token without the scope of the contract is refused."""
    with acting_with(issuer.token("users/ada", "profile")):
        created = await create(client)
    with acting_with(issuer.token("users/bob", "profile")):
        with pytest.raises(NotFound):
            await client.get_inventory(GetInventoryRequest(name=created.name))
        with pytest.raises(NotFound):
            await client.delete_inventory(DeleteInventoryRequest(name=created.name))
        assert (await client.list_inventories(ListInventoriesRequest())).inventories == []
    with acting_with(issuer.token("users/ada", "")), pytest.raises(PermissionDenied):
        await client.get_inventory(GetInventoryRequest(name=created.name))


@pytest.mark.usefixtures("ada")
async def test_each_change_is_published(client: InventoryServiceClient, database: Database) -> None:
    """An event has the state after the change; an update that changes nothing publishes none."""
    created = await create(client)
    patch = Inventory(name=created.name, display_name="Second")
    updated = await client.update_inventory(UpdateInventoryRequest(inventory=patch))
    await client.update_inventory(UpdateInventoryRequest(inventory=patch))
    deleted = await client.delete_inventory(DeleteInventoryRequest(name=created.name))
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT source, aggregate, payload FROM mesh.outbox ORDER BY id")
    assert [InventoryChanged.from_binary(row["payload"]).inventory for row in rows] == [created, updated, deleted]
    assert {(row["source"], row["aggregate"]) for row in rows} == {("inventory", created.name)}


@pytest.mark.usefixtures("ada")
async def test_a_stream_continues_at_another_process(issuer: Issuer, database: Database) -> None:
    """It reports what there is, what changes at any process, and after the token only what came later."""
    async with running(issuer, database) as here, running(issuer, database) as there:
        first = await create(here)
        async with here.watch_inventories(WatchInventoriesRequest()) as responses:
            response = await anext(responses)
            assert response.inventory == first
            second = await create(there, "Second")
            assert (await anext(responses)).inventory == second
        deleted = await here.delete_inventory(DeleteInventoryRequest(name=first.name))
        request = WatchInventoriesRequest(resume_token=response.resume_token)
        async with there.watch_inventories(request) as responses:
            assert [(await anext(responses)).inventory for _ in range(2)] == [second, deleted]


@pytest.mark.usefixtures("ada")
async def test_a_foreign_resume_token_is_refused(client: InventoryServiceClient) -> None:
    """The error names the field."""
    request = WatchInventoriesRequest(resume_token="e30")
    with pytest.raises(InvalidArgument) as caught:
        async with client.watch_inventories(request) as responses:
            await anext(responses)
    assert [violation.field for violation in caught.value.violations] == ["resume_token"]
