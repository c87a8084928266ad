"""The services of webhooks over a real channel, with a real PostgreSQL."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from meshwright.notifications.v1.webhook_deliveries_grpc import WebhookDeliveriesServiceClient
from meshwright.notifications.v1.webhook_deliveries_pb import (
    GetWebhookDeliveryRequest,
    ListWebhookDeliveriesRequest,
    RedeliverWebhookRequest,
    WebhookDelivery,
)
from meshwright.notifications.v1.webhook_endpoints_grpc import WebhookEndpointsServiceClient
from meshwright.notifications.v1.webhook_endpoints_pb import (
    CreateWebhookEndpointRequest,
    DeleteWebhookEndpointRequest,
    GetWebhookEndpointRequest,
    GetWebhookSecretRequest,
    ListWebhookEndpointsRequest,
    RotateWebhookSecretRequest,
    UpdateWebhookEndpointRequest,
    WebhookEndpoint,
)
from meshwright.notifications.v1.webhook_endpoints_pb import (
    TestWebhookEndpointRequest as SendTestRequest,  # by its own name pytest would collect it
)
from protobuf.wkt import FieldMask
from structlog.testing import capture_logs

from mesh.database import Database
from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, Unauthenticated
from services.notifications.consumers.erasure import ErasureConsumers
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.reachable_addresses import ReachableAddresses
from services.notifications.domain.webhook_delivery import Message
from services.notifications.domain.webhook_endpoint import ENDPOINTS_MAX
from services.notifications.domain.webhook_secret import WebhookSecrets
from services.notifications.handlers.webhook_deliveries import WebhookDeliveriesHandlers
from services.notifications.handlers.webhook_endpoints import WebhookEndpointsHandlers
from services.notifications.senders.resolver import Resolver
from services.notifications.storage import webhook_messages
from tests.issuer import Issuer
from tests.lock_waits import lock_waits
from tests.services.calls import acting_with, channel_to, serving
from tests.services.notifications.deletion import deletion
from tests.services.notifications.receiver import Names

SCOPES = "profile orders.read"
STAFF_SCOPES = f"{SCOPES} orders.manage"
REACHABLE = ReachableAddresses([ipaddress.ip_network("10.20.0.0/16")])
URL = "https://hook.test/orders"
HASHES = KeyedHash("key of the tests")


@dataclass
class Service:
    """Running handlers, and clients of them."""

    endpoints: WebhookEndpointsServiceClient
    deliveries: WebhookDeliveriesServiceClient
    database: Database
    issuer: Issuer

    @contextlib.contextmanager
    def acting_as(self, user: str, scopes: str = SCOPES) -> Iterator[None]:
        """Makes calls as a user."""
        with acting_with(self.issuer.token(user, scopes)):
            yield

    async def create(self, request_id: str = "", **fields: object) -> WebhookEndpoint:
        """Creates an endpoint."""
        endpoint = WebhookEndpoint(**{"url": URL} | fields)  # type: ignore[arg-type]
        request = CreateWebhookEndpointRequest(webhook_endpoint=endpoint, request_id=request_id)
        return await self.endpoints.create_webhook_endpoint(request)

    async def test(self, name: str, request_id: str = "") -> WebhookDelivery:
        """Sends a test message."""
        request = SendTestRequest(name=name, request_id=request_id)
        return await self.endpoints.test_webhook_endpoint(request)

    async def update(self, *paths: str, **fields: object) -> WebhookEndpoint:
        """Updates the fields that are named."""
        request = UpdateWebhookEndpointRequest(
            webhook_endpoint=WebhookEndpoint(**fields),  # type: ignore[arg-type]
            update_mask=FieldMask(paths=list(paths)),
        )
        return await self.endpoints.update_webhook_endpoint(request)


@pytest.fixture
async def service(open_database: Callable[..., Awaitable[Database]]) -> AsyncIterator[Service]:
    """Starts the services of webhooks, with a name server that knows some hosts."""
    database, issuer = await open_database("notifications"), Issuer()
    names = Names(
        hook_test=[["93.184.216.34"]], allowed_test=[["10.20.0.1"]], inside_test=[["10.0.0.1"]], localhost=[["::1"]]
    )
    endpoints = WebhookEndpointsHandlers(
        database, HASHES, WebhookSecrets("key"), REACHABLE, Resolver(REACHABLE, names), http_allowed=False
    )
    async with (
        serving(issuer, endpoints) as port,
        serving(issuer, WebhookDeliveriesHandlers(database)) as other_port,
        channel_to(port) as channel,
        channel_to(other_port) as other_channel,
    ):
        yield Service(
            WebhookEndpointsServiceClient(channel), WebhookDeliveriesServiceClient(other_channel), database, issuer
        )


@pytest.fixture
def ada(service: Service) -> Iterator[None]:
    """Calls are made as Ada."""
    with service.acting_as("users/ada"):
        yield


@pytest.mark.usefixtures("ada")
async def test_an_endpoint_is_read_as_it_was_created(service: Service) -> None:
    """With what the service decides; it can be got and listed."""
    created = await service.create(description="Mine", event_types=["order.placed"])
    assert (created.name, created.url, created.etag) == (f"webhookEndpoints/{created.uid}", URL, "1")
    assert (created.description, created.event_types, created.disabled) == ("Mine", ["order.placed"], False)
    assert await service.endpoints.get_webhook_endpoint(GetWebhookEndpointRequest(name=created.name)) == created
    other = await service.create(url="https://allowed.test/")
    page = await service.endpoints.list_webhook_endpoints(ListWebhookEndpointsRequest(page_size=1))
    request = ListWebhookEndpointsRequest(page_token=page.next_page_token)
    last = await service.endpoints.list_webhook_endpoints(request)
    assert [*page.webhook_endpoints, *last.webhook_endpoints] == [other, created]


@pytest.mark.usefixtures("ada")
async def test_a_repeated_request_creates_nothing_more(service: Service) -> None:
    """The first response comes again."""
    request_id = str(uuid4())
    created = await service.create(request_id)
    assert await service.create(request_id) == created
    listed = await service.endpoints.list_webhook_endpoints(ListWebhookEndpointsRequest())
    assert listed.webhook_endpoints == [created]


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize(
    "url",
    [
        "http://hook.test/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://inside.test/",
        "https://unknown.test/",
        "https://me:secret@hook.test/",
        "https://10.0.0.1/",
    ],
)
async def test_a_url_that_must_not_be_called_is_rejected(service: Service, url: str) -> None:
    """At the creation and at an update; the violation names the field."""
    created = await service.create()
    with pytest.raises(InvalidArgument) as caught:
        await service.create(url=url)
    assert [violation.field for violation in caught.value.violations] == ["webhook_endpoint.url"]
    with pytest.raises(InvalidArgument):
        await service.update("url", name=created.name, url=url)


@pytest.mark.usefixtures("ada")
async def test_names_inside_are_not_told_from_unknown_ones(service: Service) -> None:
    """The error does not tell a customer which names a private network has."""
    errors = set()
    for host in ("localhost", "inside.test", "unknown.test"):
        with pytest.raises(InvalidArgument) as caught:
            await service.create(url=f"https://{host}/")
        errors.add((str(caught.value), *((each.reason, each.description) for each in caught.value.violations)))
    assert len(errors) == 1


@pytest.mark.usefixtures("ada")
async def test_an_unknown_event_type_is_rejected(service: Service) -> None:
    """The contract lists those that there are."""
    with pytest.raises(InvalidArgument):
        await service.create(event_types=["order.eaten"])


async def test_all_orders_are_for_staff(service: Service) -> None:
    """A customer can neither create an endpoint for all orders nor change one into such an endpoint."""
    with service.acting_as("users/ada"):
        created = await service.create()
        with pytest.raises(PermissionDenied):
            await service.create(all_orders=True)
        with pytest.raises(PermissionDenied):
            await service.update("all_orders", name=created.name, all_orders=True)
    with service.acting_as("users/staff", STAFF_SCOPES):
        assert (await service.create(all_orders=True)).all_orders


async def test_all_orders_need_the_scope_at_each_call(service: Service) -> None:
    """A token without it neither learns of the orders and the secret, nor makes an endpoint send them elsewhere, or
    again, or more of them.
    """
    with service.acting_as("users/staff", STAFF_SCOPES):
        created = await service.create(all_orders=True)
        off = await service.create(all_orders=True, disabled=True)
        tested = await service.test(created.name)
    endpoints, deliveries, name = service.endpoints, service.deliveries, created.name
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: endpoints.get_webhook_secret(GetWebhookSecretRequest(name=f"{name}/secret")),
        lambda: endpoints.rotate_webhook_secret(RotateWebhookSecretRequest(name=name)),
        lambda: endpoints.test_webhook_endpoint(SendTestRequest(name=name)),
        lambda: deliveries.list_webhook_deliveries(ListWebhookDeliveriesRequest(parent=name)),
        lambda: deliveries.get_webhook_delivery(GetWebhookDeliveryRequest(name=tested.name)),
        lambda: deliveries.redeliver_webhook(RedeliverWebhookRequest(name=tested.name)),
        lambda: service.update("url", name=name, url="https://allowed.test/"),
        lambda: service.update("url", "disabled", name=name, url="https://allowed.test/", disabled=True),
        lambda: service.update("event_types", name=name, event_types=["order.placed"]),
        lambda: service.update("disabled", name=off.name),
    ]
    with service.acting_as("users/staff"):
        for call in calls:
            with pytest.raises(PermissionDenied) as caught:
                await call()
            assert caught.value.reason == "ALL_ORDERS_FOR_STAFF_ONLY"
        assert await endpoints.get_webhook_endpoint(GetWebhookEndpointRequest(name=name)) == created
        assert (await service.update("disabled", name=name, disabled=True)).disabled
        assert not (await service.update("all_orders", name=name)).all_orders
        await endpoints.delete_webhook_endpoint(DeleteWebhookEndpointRequest(name=off.name))


async def test_an_endpoint_that_received_all_orders_shows_its_owners(service: Service) -> None:
    """Deliveries about other customers' orders are not found once it is for its owner's, nor sent again."""
    with service.acting_as("users/staff", STAFF_SCOPES):
        created = await service.create(all_orders=True)
        async with service.database.transaction() as tx:
            for customer in ("users/staff", "users/ada", "users/bob"):
                await webhook_messages.publish(tx, Message(uuid4(), customer, "order.placed", customer.encode()))
            await tx.execute("UPDATE webhook_deliveries SET state = 'failed', due_time = NULL")
        request = ListWebhookDeliveriesRequest(parent=created.name)
        everything = (await service.deliveries.list_webhook_deliveries(request)).deliveries
        assert {delivery.body for delivery in everything} == {"users/staff", "users/ada", "users/bob"}
        await service.update("all_orders", name=created.name)
    with service.acting_as("users/staff"):
        [own] = (await service.deliveries.list_webhook_deliveries(request)).deliveries
        assert own.body == "users/staff"
        for delivery in everything:
            if delivery.name != own.name:
                with pytest.raises(NotFound):
                    await service.deliveries.get_webhook_delivery(GetWebhookDeliveryRequest(name=delivery.name))
                with pytest.raises(NotFound):
                    await service.deliveries.redeliver_webhook(RedeliverWebhookRequest(name=delivery.name))
        await service.deliveries.redeliver_webhook(RedeliverWebhookRequest(name=own.name))


@pytest.mark.usefixtures("ada")
async def test_a_user_has_ten_endpoints(service: Service) -> None:
    """One more can be created after one was deleted."""
    created = [await service.create() for _ in range(ENDPOINTS_MAX)]
    with pytest.raises(FailedPrecondition):
        await service.create()
    await service.endpoints.delete_webhook_endpoint(DeleteWebhookEndpointRequest(name=created[0].name))
    await service.create()


@pytest.mark.usefixtures("ada")
async def test_an_update_changes_what_the_mask_names(service: Service) -> None:
    """A stale etag is ABORTED, and output-only fields are rejected."""
    created = await service.create(description="Old")
    updated = await service.update("description", name=created.name, description="New", url="https://x.test", etag="1")
    assert (updated.description, updated.url, updated.etag) == ("New", URL, "2")
    with pytest.raises(Aborted):
        await service.update("description", name=created.name, description="Newer", etag="1")
    with pytest.raises(InvalidArgument):
        await service.update("disable_reason", name=created.name)
    disabled = await service.update("disabled", name=created.name, disabled=True)
    assert (disabled.disabled, disabled.disable_reason) == (True, WebhookEndpoint.DisableReason.OWNER)
    enabled = await service.update("disabled", name=created.name)
    assert (enabled.disabled, enabled.disable_reason) == (False, WebhookEndpoint.DisableReason.UNSPECIFIED)


@pytest.mark.usefixtures("ada")
async def test_a_secret_is_rotated_once(service: Service) -> None:
    """A repeated request rotates nothing, and another one within a day is rejected."""
    created = await service.create()
    request = GetWebhookSecretRequest(name=f"{created.name}/secret")
    first = await service.endpoints.get_webhook_secret(request)
    assert first.secret.startswith("whsec_")
    rotate = RotateWebhookSecretRequest(name=created.name, request_id=str(uuid4()))
    rotated = await service.endpoints.rotate_webhook_secret(rotate)
    assert rotated.previous_secret_expire_time is not None
    assert rotated.previous_secret_expire_time.to_datetime() > datetime.now(UTC)
    assert await service.endpoints.rotate_webhook_secret(rotate) == rotated
    second = await service.endpoints.get_webhook_secret(request)
    assert second.secret != first.secret
    with pytest.raises(FailedPrecondition):
        await service.endpoints.rotate_webhook_secret(RotateWebhookSecretRequest(name=created.name))


@pytest.mark.usefixtures("ada")
async def test_a_test_is_a_delivery(service: Service) -> None:
    """It is in the log, once for each request_id; a disabled endpoint gets none."""
    created = await service.create()
    request_id = str(uuid4())
    tested = await service.test(created.name, request_id)
    assert await service.test(created.name, request_id) == tested
    assert (tested.event_type, tested.state) == ("webhook.test", WebhookDelivery.State.PENDING)
    listed = await service.deliveries.list_webhook_deliveries(ListWebhookDeliveriesRequest(parent=created.name))
    assert listed.deliveries == [tested]
    await service.update("disabled", name=created.name, disabled=True)
    with pytest.raises(FailedPrecondition):
        await service.test(created.name)


@pytest.mark.usefixtures("ada")
async def test_a_delivery_is_repeated(service: Service) -> None:
    """As a new delivery of the same message, once for each request_id; not while it is pending."""
    created = await service.create()
    tested = await service.test(created.name)
    with pytest.raises(FailedPrecondition):
        await service.deliveries.redeliver_webhook(RedeliverWebhookRequest(name=tested.name))
    async with service.database.transaction() as tx:
        await tx.execute("UPDATE webhook_deliveries SET state = 'failed', due_time = NULL")
    request = RedeliverWebhookRequest(name=tested.name, request_id=str(uuid4()))
    again = await service.deliveries.redeliver_webhook(request)
    assert await service.deliveries.redeliver_webhook(request) == again
    assert again.name != tested.name
    assert (again.webhook_id, again.body) == (tested.webhook_id, tested.body)
    names: list[str] = []
    token = ""
    while token or not names:
        request_page = ListWebhookDeliveriesRequest(parent=created.name, page_size=1, page_token=token)
        page = await service.deliveries.list_webhook_deliveries(request_page)
        names += [delivery.name for delivery in page.deliveries]
        token = page.next_page_token
    assert names == [again.name, tested.name]


async def test_a_repeated_redelivery_needs_the_scope_too(service: Service) -> None:
    """The stored response has the order of a customer, which not every token of a member of staff reaches, and which is
    gone once it is erased.
    """
    with service.acting_as("users/boss", STAFF_SCOPES):
        created = await service.create(all_orders=True)
        async with service.database.transaction() as tx:
            await webhook_messages.publish(tx, Message(uuid4(), "users/ada", "order.placed", b"{}"))
            await tx.execute("UPDATE webhook_deliveries SET state = 'failed', due_time = NULL")
        listed = await service.deliveries.list_webhook_deliveries(ListWebhookDeliveriesRequest(parent=created.name))
        request = RedeliverWebhookRequest(name=listed.deliveries[0].name, request_id=str(uuid4()))
        again = await service.deliveries.redeliver_webhook(request)
        assert await service.deliveries.redeliver_webhook(request) == again
    with service.acting_as("users/boss"), pytest.raises(PermissionDenied):
        await service.deliveries.redeliver_webhook(request)
    async with service.database.transaction() as tx:
        await webhook_messages.delete_of(tx, "users/ada")
    with service.acting_as("users/boss", STAFF_SCOPES), pytest.raises(NotFound):
        await service.deliveries.redeliver_webhook(request)


async def test_what_is_deleted_meanwhile_is_not_sent(service: Service) -> None:
    """A test of an endpoint that is being deleted, and the repetition of a message that is being erased, are of
    something that does not exist: no failure of the service.
    """
    with service.acting_as("users/ada"):
        endpoint = await service.create()
        delivery = await service.test(endpoint.name)
        async with service.database.transaction() as tx:
            await tx.execute("UPDATE webhook_deliveries SET state = 'failed', due_time = NULL")
        request = RedeliverWebhookRequest(name=delivery.name)
        calls: dict[str, Callable[[], Awaitable[WebhookDelivery]]] = {
            "webhook_messages": lambda: service.deliveries.redeliver_webhook(request),
            "webhook_endpoints": lambda: service.test(endpoint.name),
        }
        for table, call in calls.items():
            async with service.database.transaction() as tx:
                await tx.execute(f"DELETE FROM {table}")
                calling = asyncio.ensure_future(call())
                while not await lock_waits(service.database):
                    await asyncio.sleep(0.01)
            with pytest.raises(NotFound):
                await calling


async def test_endpoints_of_others_do_not_exist(service: Service) -> None:
    """For no method, and for staff neither; a delivery is found below its own endpoint only."""
    with service.acting_as("users/ada"):
        created = await service.create()
        other = await service.create()
        tested = await service.test(created.name)
        elsewhere = f"{other.name}/deliveries/{tested.name.rpartition('/')[2]}"
        with pytest.raises(NotFound):
            await service.deliveries.get_webhook_delivery(GetWebhookDeliveryRequest(name=elsewhere))
    endpoints, deliveries, name = service.endpoints, service.deliveries, created.name
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: endpoints.get_webhook_endpoint(GetWebhookEndpointRequest(name=name)),
        lambda: endpoints.get_webhook_secret(GetWebhookSecretRequest(name=f"{name}/secret")),
        lambda: endpoints.rotate_webhook_secret(RotateWebhookSecretRequest(name=name)),
        lambda: endpoints.test_webhook_endpoint(SendTestRequest(name=name)),
        lambda: endpoints.delete_webhook_endpoint(DeleteWebhookEndpointRequest(name=name)),
        lambda: service.update("description", name=name, description="x"),
        lambda: deliveries.list_webhook_deliveries(ListWebhookDeliveriesRequest(parent=name)),
        lambda: deliveries.get_webhook_delivery(GetWebhookDeliveryRequest(name=tested.name)),
        lambda: deliveries.redeliver_webhook(RedeliverWebhookRequest(name=tested.name)),
    ]
    for scopes in (SCOPES, STAFF_SCOPES):
        with service.acting_as("users/eve", scopes):
            for call in calls:
                with pytest.raises(NotFound):
                    await call()
    with service.acting_as("users/ada", "profile"), pytest.raises(PermissionDenied):
        await calls[0]()


@pytest.mark.usefixtures("ada")
async def test_endpoints_are_audited(service: Service) -> None:
    """Each change and each reading of a secret is in the audit log, a repeated request once, without the secret."""
    request_id = str(uuid4())
    with capture_logs() as logs:
        for _ in range(2):
            created = await service.create(request_id)
        await service.update("description", name=created.name, description="New")
        request = GetWebhookSecretRequest(name=f"{created.name}/secret")
        secret = (await service.endpoints.get_webhook_secret(request)).secret
        await service.endpoints.rotate_webhook_secret(RotateWebhookSecretRequest(name=created.name))
        await service.endpoints.delete_webhook_endpoint(DeleteWebhookEndpointRequest(name=created.name))
    lines = [line for line in logs if line.get("logger") == "audit"]
    assert [line["event"] for line in lines] == [
        "webhook_endpoint_created",
        "webhook_endpoint_changed",
        "webhook_secret_read",
        "webhook_secret_rotated",
        "webhook_endpoint_deleted",
    ]
    facts = {(line["account"], line["endpoint"], line["host"]) for line in lines}
    assert facts == {("users/ada", created.name, "hook.test")}
    assert secret not in str(lines)


@pytest.mark.usefixtures("ada")
async def test_a_deleted_endpoint_is_gone(service: Service) -> None:
    """With its deliveries; a stale etag deletes nothing."""
    created = await service.create()
    await service.test(created.name)
    with pytest.raises(Aborted):
        await service.endpoints.delete_webhook_endpoint(DeleteWebhookEndpointRequest(name=created.name, etag="7"))
    await service.endpoints.delete_webhook_endpoint(DeleteWebhookEndpointRequest(name=created.name, etag="1"))
    with pytest.raises(NotFound):
        await service.endpoints.get_webhook_endpoint(GetWebhookEndpointRequest(name=created.name))
    async with service.database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM webhook_deliveries") == 0


@pytest.mark.usefixtures("ada")
async def test_a_caller_who_was_erased_creates_no_endpoint(service: Service) -> None:
    """The call came with a token that was still valid. The answers to earlier calls are gone, too."""
    await service.create(str(uuid4()))
    async with service.database.transaction() as tx:
        await ErasureConsumers(HASHES).user_deleted(tx, deletion("users/ada"))
    with pytest.raises(Unauthenticated) as caught:
        await service.create(str(uuid4()))
    assert caught.value.reason == "TOKEN_REVOKED"
    async with service.database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM webhook_endpoints") == 0
        assert await tx.fetchval("SELECT count(*) FROM mesh.answers") == 0


@pytest.mark.usefixtures("ada")
async def test_the_answer_to_a_call_during_the_erasure_is_forgotten(service: Service) -> None:
    """It has the URL of the endpoint, which the call had locked before the erasure did."""
    created = await service.create()

    async def erase() -> None:
        async with service.database.transaction() as tx:
            await ErasureConsumers(HASHES).user_deleted(tx, deletion("users/ada"))

    async with service.database.transaction() as tx:
        await tx.execute("SELECT FROM webhook_endpoints FOR UPDATE")
        rotating = asyncio.create_task(
            service.endpoints.rotate_webhook_secret(
                RotateWebhookSecretRequest(name=created.name, request_id=str(uuid4()))
            )
        )
        await until_waiting(service.database, 1)
        erasing = asyncio.create_task(erase())
        await until_waiting(service.database, 2)
    assert (await rotating).name == created.name
    await erasing
    async with service.database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM mesh.answers") == 0


async def until_waiting(database: Database, count: int) -> None:
    """Waits until this number of sessions wait for a lock."""
    async with asyncio.timeout(20):
        while await lock_waits(database) < count:
            await asyncio.sleep(0.02)
