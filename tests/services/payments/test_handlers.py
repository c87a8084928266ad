"""PaymentsService over real channels, with a real PostgreSQL."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest
from meshwright.payments.v1.events_pb import PaymentChanged
from meshwright.payments.v1.payments_grpc import PaymentsServiceClient
from meshwright.payments.v1.payments_pb import (
    CreatePaymentRequest,
    DeletePaymentRequest,
    GetPaymentRequest,
    ListPaymentsRequest,
    Payment,
    UpdatePaymentRequest,
    WatchPaymentsRequest,
)
from protobuf.wkt import FieldMask

from mesh.database import Database
from mesh.errors import Aborted, InvalidArgument, NotFound, PermissionDenied
from services.payments.handlers import PaymentsHandlers
from tests.issuer import Issuer
from tests.services.calls import acting_with, channel_to, serving


@pytest.fixture
def issuer() -> Issuer:
    """The issuer of the tokens of this test."""
    return Issuer()


@contextlib.asynccontextmanager
async def running(issuer: Issuer, database: Database) -> AsyncIterator[PaymentsServiceClient]:
    """A process of the service, and a client of it."""
    async with (
        serving(issuer, PaymentsHandlers(database, watch_every_s=0.05)) as port,
        channel_to(port, "payments") as channel,
    ):
        yield PaymentsServiceClient(channel)


@pytest.fixture
async def client(issuer: Issuer, database: Database) -> AsyncIterator[PaymentsServiceClient]:
    """A client of the service."""
    async with running(issuer, database) as client:
        yield client


@pytest.fixture
def ada(issuer: Issuer) -> Iterator[None]:
    """Calls are made as Ada."""
    with acting_with(issuer.token("users/ada", "profile")):
        yield


async def create(client: PaymentsServiceClient, display_name: str = "First", request_id: str = "") -> Payment:
    """Creates a payment."""
    new = Payment(display_name=display_name, description="Something")
    return await client.create_payment(CreatePaymentRequest(payment=new, request_id=request_id))


@pytest.mark.usefixtures("ada")
async def test_it_is_read_as_it_was_created(client: PaymentsServiceClient) -> None:
    """The response has what the service decides, and can be read and listed."""
    created = await create(client)
    assert (created.name, created.owner, created.etag) == (f"payments/{created.uid}", "users/ada", "1")
    assert await client.get_payment(GetPaymentRequest(name=created.name)) == created
    listed = await client.list_payments(ListPaymentsRequest())
    assert (listed.payments, listed.next_page_token) == ([created], "")


@pytest.mark.usefixtures("ada")
async def test_a_repeated_request_creates_nothing_more(client: PaymentsServiceClient) -> None:
    """The same request_id gives the first response again (AIP-155)."""
    request_id = str(uuid4())
    created = await create(client, request_id=request_id)
    assert await create(client, request_id=request_id) == created
    assert len((await client.list_payments(ListPaymentsRequest())).payments) == 1


@pytest.mark.usefixtures("ada")
async def test_an_update_changes_what_the_mask_names(client: PaymentsServiceClient) -> None:
    """Other fields stay, output only ones are refused, and an outdated etag is ABORTED."""
    created = await create(client)
    patch = Payment(name=created.name, display_name="Second", etag=created.etag)
    request = UpdatePaymentRequest(payment=patch, update_mask=FieldMask(paths=["display_name"]))
    updated = await client.update_payment(request)
    assert (updated.display_name, updated.description, updated.etag) == ("Second", "Something", "2")
    with pytest.raises(Aborted):
        await client.update_payment(request)
    request = UpdatePaymentRequest(payment=patch, update_mask=FieldMask(paths=["owner"]))
    with pytest.raises(InvalidArgument):
        await client.update_payment(request)


@pytest.mark.usefixtures("ada")
async def test_a_deleted_one_is_gone(client: PaymentsServiceClient) -> None:
    """It is returned once more, with the time, and neither found nor listed afterwards."""
    created = await create(client)
    deleted = await client.delete_payment(DeletePaymentRequest(name=created.name))
    assert deleted.delete_time is not None
    with pytest.raises(NotFound):
        await client.get_payment(GetPaymentRequest(name=created.name))
    assert (await client.list_payments(ListPaymentsRequest())).payments == []


async def test_nobody_sees_those_of_others(client: PaymentsServiceClient, issuer: Issuer) -> None:
    """Another user finds nothing, and a token without the scope of the contract is refused."""
    with acting_with(issuer.token("users/ada", "profile")):
        created = await create(client)
    with acting_with(issuer.token("users/bob", "profile")):
        with pytest.raises(NotFound):
            await client.get_payment(GetPaymentRequest(name=created.name))
        with pytest.raises(NotFound):
            await client.delete_payment(DeletePaymentRequest(name=created.name))
        assert (await client.list_payments(ListPaymentsRequest())).payments == []
    with acting_with(issuer.token("users/ada", "")), pytest.raises(PermissionDenied):
        await client.get_payment(GetPaymentRequest(name=created.name))


@pytest.mark.usefixtures("ada")
async def test_each_change_is_published(client: PaymentsServiceClient, database: Database) -> None:
    """An event has the state after the change; an update that changes nothing publishes none."""
    created = await create(client)
    patch = Payment(name=created.name, display_name="Second")
    updated = await client.update_payment(UpdatePaymentRequest(payment=patch))
    await client.update_payment(UpdatePaymentRequest(payment=patch))
    deleted = await client.delete_payment(DeletePaymentRequest(name=created.name))
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT source, aggregate, payload FROM mesh.outbox ORDER BY id")
    assert [PaymentChanged.from_binary(row["payload"]).payment for row in rows] == [created, updated, deleted]
    assert {(row["source"], row["aggregate"]) for row in rows} == {("payments", created.name)}


@pytest.mark.usefixtures("ada")
async def test_a_stream_continues_at_another_process(issuer: Issuer, database: Database) -> None:
    """It reports what there is, what changes at any process, and after the token only what came later."""
    async with running(issuer, database) as here, running(issuer, database) as there:
        first = await create(here)
        async with here.watch_payments(WatchPaymentsRequest()) as responses:
            response = await anext(responses)
            assert response.payment == first
            second = await create(there, "Second")
            assert (await anext(responses)).payment == second
        deleted = await here.delete_payment(DeletePaymentRequest(name=first.name))
        request = WatchPaymentsRequest(resume_token=response.resume_token)
        async with there.watch_payments(request) as responses:
            assert [(await anext(responses)).payment for _ in range(2)] == [second, deleted]


@pytest.mark.usefixtures("ada")
async def test_a_foreign_resume_token_is_refused(client: PaymentsServiceClient) -> None:
    """The error names the field."""
    request = WatchPaymentsRequest(resume_token="e30")
    with pytest.raises(InvalidArgument) as caught:
        async with client.watch_payments(request) as responses:
            await anext(responses)
    assert [violation.field for violation in caught.value.violations] == ["resume_token"]
