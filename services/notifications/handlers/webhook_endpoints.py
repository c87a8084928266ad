"""The methods of WebhookEndpointsService."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Final
from urllib.parse import urlsplit
from uuid import uuid4

from meshwright.notifications.v1.webhook_deliveries_pb import WebhookDelivery as DeliveryMessage
from meshwright.notifications.v1.webhook_endpoints_grpc import WebhookEndpointsServiceBase
from meshwright.notifications.v1.webhook_endpoints_pb import (
    CreateWebhookEndpointRequest,
    DeleteWebhookEndpointRequest,
    GetWebhookEndpointRequest,
    GetWebhookSecretRequest,
    ListWebhookEndpointsRequest,
    ListWebhookEndpointsResponse,
    RotateWebhookSecretRequest,
    TestWebhookEndpointRequest,
    UpdateWebhookEndpointRequest,
    WebhookSecret,
)
from meshwright.notifications.v1.webhook_endpoints_pb import WebhookEndpoint as EndpointMessage
from protobuf.wkt import Empty, Timestamp

from mesh import audit
from mesh.database import Connection, Database
from mesh.errors import FieldViolation, invalid_fields
from mesh.etag import check_etag
from mesh.field_mask import apply_update
from mesh.idempotency import once, once_prepared
from mesh.pagination import read_page
from mesh.rpc import Call
from services.notifications.domain.keyed_hash import KeyedHash
from services.notifications.domain.reachable_addresses import ReachableAddresses
from services.notifications.domain.webhook_delivery import Message, State, WebhookDelivery
from services.notifications.domain.webhook_endpoint import (
    STALE,
    TEST_TYPE,
    EndpointDetails,
    WebhookEndpoint,
    check_count,
    check_enabled,
    owned_by,
    uid_of,
)
from services.notifications.domain.webhook_secret import WebhookSecrets, encoded
from services.notifications.domain.webhook_url import url_problem
from services.notifications.handlers.erased_caller import check_not_erased
from services.notifications.handlers.webhook_access import accessible, check_details
from services.notifications.handlers.webhook_deliveries import delivery_message
from services.notifications.senders.resolver import Resolver, UnreachableHost
from services.notifications.storage import user_lock, webhook_deliveries, webhook_endpoints, webhook_messages
from services.notifications.webhook_publisher import message_body

UPDATABLE: Final = frozenset({"url", "description", "event_types", "all_orders", "disabled"})
PAGE_SIZE_MAX: Final = 200
SECRET_SUFFIX: Final = "/secret"


class WebhookEndpointsHandlers(WebhookEndpointsServiceBase):
    """The handlers of WebhookEndpointsService."""

    def __init__(
        self,
        database: Database,
        hashes: KeyedHash,
        secrets: WebhookSecrets,
        reachable: ReachableAddresses,
        resolver: Resolver,
        *,
        http_allowed: bool,
    ) -> None:
        self._database = database
        self._hashes = hashes
        self._secrets = secrets
        self._reachable = reachable
        self._resolver = resolver
        self._http_allowed = http_allowed

    async def create_webhook_endpoint(self, request: CreateWebhookEndpointRequest, call: Call) -> EndpointMessage:
        """Creates an endpoint, once for each request_id."""
        message = request.webhook_endpoint or EndpointMessage()
        details = _details(message)
        check_details(details, call)
        return await once_prepared(
            self._database,
            call,
            request,
            prepare=partial(self._check_url, details.url, call.caller.subject),
            effect=partial(self._create, call=call, details=details, disabled=message.disabled),
        )

    async def _create(
        self, tx: Connection, _: None, *, call: Call, details: EndpointDetails, disabled: bool
    ) -> EndpointMessage:
        owner = call.caller.subject
        await user_lock.share(tx, owner)
        await check_not_erased(tx, self._hashes, owner)
        check_count(await webhook_endpoints.count_of(tx, owner))
        endpoint = WebhookEndpoint.create(uuid4(), owner, details, disabled=disabled, now=datetime.now(UTC))
        await webhook_endpoints.insert(tx, endpoint)
        _record("webhook_endpoint_created", call, endpoint)
        return _message(endpoint)

    async def get_webhook_endpoint(self, request: GetWebhookEndpointRequest, call: Call) -> EndpointMessage:
        """Returns an endpoint of the caller."""
        return _message(await self._find(request.name, call))

    async def list_webhook_endpoints(
        self, request: ListWebhookEndpointsRequest, call: Call
    ) -> ListWebhookEndpointsResponse:
        """Lists the endpoints of the caller."""
        owner = call.caller.subject
        page = read_page(
            request.page_size,
            request.page_token,
            query=(owner,),
            key_types=webhook_endpoints.LIST_KEY_TYPES,
            size_max=PAGE_SIZE_MAX,
        )
        async with self._database.transaction() as tx:
            listed, next_page_token = await webhook_endpoints.list_endpoints(tx, owner, page)
        return ListWebhookEndpointsResponse(
            webhook_endpoints=[_message(endpoint) for endpoint in listed], next_page_token=next_page_token
        )

    async def update_webhook_endpoint(self, request: UpdateWebhookEndpointRequest, call: Call) -> EndpointMessage:
        """Changes the fields that the mask names. A new URL is resolved before the transaction."""
        patch = request.webhook_endpoint or EndpointMessage()

        def wanted(current: WebhookEndpoint) -> EndpointMessage:
            return apply_update(_message(current), patch, request.update_mask, updatable=UPDATABLE)

        def updated(current: WebhookEndpoint) -> WebhookEndpoint:
            message = wanted(current)
            details = _details(message)
            if current.reconfigures(details, disabled=message.disabled):
                check_details(details, call)
            return current.update(details, disabled=message.disabled, etag=patch.etag, now=datetime.now(UTC))

        current = await self._find(patch.name, call)
        if (url := wanted(current).url) != current.details.url:
            await self._check_url(url, current.owner)
        return await self._change(patch.name, call, updated)

    async def delete_webhook_endpoint(self, request: DeleteWebhookEndpointRequest, call: Call) -> Empty:
        """Deletes an endpoint of the caller."""
        uid = uid_of(request.name)
        async with self._database.transaction() as tx:
            endpoint = owned_by(call.caller.subject, await webhook_endpoints.find(tx, uid, lock=True))
            check_etag(request.etag, endpoint.etag, STALE)
            await webhook_endpoints.delete(tx, endpoint)
        _record("webhook_endpoint_deleted", call, endpoint)
        return Empty()

    async def get_webhook_secret(self, request: GetWebhookSecretRequest, call: Call) -> WebhookSecret:
        """Returns the secret that signs messages now."""
        endpoint = accessible(await self._find(request.name.removesuffix(SECRET_SUFFIX), call), call)
        _record("webhook_secret_read", call, endpoint)
        secret = self._secrets.derive(endpoint.uid, endpoint.secret_version)
        return WebhookSecret(name=request.name, secret=encoded(secret))

    async def rotate_webhook_secret(self, request: RotateWebhookSecretRequest, call: Call) -> EndpointMessage:
        """Replaces the secret, once for each request_id."""
        uid = uid_of(request.name)

        async def rotate() -> EndpointMessage:
            endpoint = accessible(await webhook_endpoints.find(tx, uid, lock=True), call)
            rotated = endpoint.rotate_secret(datetime.now(UTC))
            await webhook_endpoints.update(tx, rotated)
            _record("webhook_secret_rotated", call, rotated)
            return _message(rotated)

        async with self._database.transaction() as tx:
            return await once(tx, call, request, rotate)

    async def test_webhook_endpoint(self, request: TestWebhookEndpointRequest, call: Call) -> DeliveryMessage:
        """Adds a delivery of a test message, once for each request_id."""
        uid = uid_of(request.name)

        async def add() -> DeliveryMessage:
            endpoint = accessible(await webhook_endpoints.find(tx, uid, lock=True), call)
            check_enabled(endpoint)
            now = datetime.now(UTC)
            message = Message(uuid4(), endpoint.owner, TEST_TYPE, message_body(TEST_TYPE, now, {"name": endpoint.name}))
            delivery = WebhookDelivery(uuid4(), uid, message, State.PENDING, create_time=now, due_time=now)
            await webhook_messages.insert(tx, message)
            await webhook_deliveries.insert(tx, delivery)
            return delivery_message(delivery)

        async with self._database.transaction() as tx:
            return await once(tx, call, request, add)

    async def _check_url(self, url: str, owner: str) -> None:
        """Raises InvalidArgument if the URL does not lead to an address that may be called. Each attempt checks again,
        because the name may lead elsewhere by then.
        """
        if problem := url_problem(url, self._reachable, http_allowed=self._http_allowed):
            raise _invalid_url(problem)
        try:
            await self._resolver.resolve(urlsplit(url).hostname or "", owner)
        except UnreachableHost as error:
            raise _invalid_url(f"is not usable: {error}") from None

    async def _find(self, name: str, call: Call) -> WebhookEndpoint:
        uid = uid_of(name)
        async with self._database.transaction() as tx:
            return owned_by(call.caller.subject, await webhook_endpoints.find(tx, uid))

    async def _change(
        self, name: str, call: Call, change: Callable[[WebhookEndpoint], WebhookEndpoint]
    ) -> EndpointMessage:
        """Changes an endpoint while its row is locked."""
        uid = uid_of(name)
        async with self._database.transaction() as tx:
            current = owned_by(call.caller.subject, await webhook_endpoints.find(tx, uid, lock=True))
            changed = change(current)
            if changed is not current:
                await webhook_endpoints.update(tx, changed)
                _record("webhook_endpoint_changed", call, changed)
        return _message(changed)


def _record(event: str, call: Call, endpoint: WebhookEndpoint) -> None:
    """Logs a security event: an endpoint takes data out of the shop for as long as it exists."""
    details = endpoint.details
    audit.record(
        event, call, endpoint=endpoint.name, host=urlsplit(details.url).hostname or "", all_orders=details.all_orders
    )


def _details(message: EndpointMessage) -> EndpointDetails:
    return EndpointDetails(message.url, message.description, tuple(message.event_types), message.all_orders)


def _invalid_url(description: str) -> Exception:
    return invalid_fields([FieldViolation("webhook_endpoint.url", description, "WEBHOOK_URL_INVALID")])


def _message(endpoint: WebhookEndpoint) -> EndpointMessage:
    details, reason, expire_time = endpoint.details, endpoint.disable_reason, endpoint.previous_secret_expire_time
    reasons = EndpointMessage.DisableReason
    return EndpointMessage(
        name=endpoint.name,
        uid=str(endpoint.uid),
        url=details.url,
        description=details.description,
        event_types=list(details.event_types),
        all_orders=details.all_orders,
        disabled=reason is not None,
        disable_reason=reasons.UNSPECIFIED if reason is None else reasons[reason.name],
        previous_secret_expire_time=None if expire_time is None else Timestamp.from_datetime(expire_time),
        create_time=Timestamp.from_datetime(endpoint.create_time),
        update_time=Timestamp.from_datetime(endpoint.update_time),
        etag=endpoint.etag,
    )
