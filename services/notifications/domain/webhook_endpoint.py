"""A webhook endpoint: a URL of a user's that is called when something happens to orders."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Self
from uuid import UUID

from mesh.errors import FailedPrecondition, NotFound, PermissionDenied
from mesh.etag import check_etag
from mesh.resource_name import uid_in
from services.notifications.domain.webhook_secret import OVERLAP, WebhookSecrets

NAME_PREFIX: Final = "webhookEndpoints/"
TEST_TYPE: Final = "webhook.test"
ENDPOINTS_MAX: Final = 10
DISABLE_AFTER: Final = timedelta(days=3)
"""The time for which deliveries may fail without a success between them, until the endpoint is disabled."""

BACKLOG_MAX: Final = 10_000
"""The deliveries that may wait for an endpoint, of those since it was enabled, until it is disabled."""

STALE: Final = "The webhook endpoint has changed. Read it again, then decide."


class DisableReason(enum.StrEnum):
    """Why an endpoint is disabled."""

    OWNER = "owner"
    FAILING = "failing"
    GONE = "gone"
    OVERLOADED = "overloaded"


@dataclass(frozen=True, slots=True)
class EndpointDetails:
    """The owner's part of an endpoint. Without `event_types` it receives all of them."""

    url: str
    description: str
    event_types: tuple[str, ...]
    all_orders: bool


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An endpoint. `secret_version` counts the rotations of its secret; the previous one signs too until
    `previous_secret_expire_time`. `failing_since` is the time of the first failure after the last success. It was
    enabled at `enable_time`, or is disabled since.
    """

    uid: UUID
    owner: str
    details: EndpointDetails
    create_time: datetime
    update_time: datetime
    enable_time: datetime
    version: int = 1
    disable_reason: DisableReason | None = None
    secret_version: int = 1
    previous_secret_expire_time: datetime | None = None
    failing_since: datetime | None = None

    @classmethod
    def create(cls, uid: UUID, owner: str, details: EndpointDetails, *, disabled: bool, now: datetime) -> Self:
        """Returns a new endpoint."""
        reason = DisableReason.OWNER if disabled else None
        return cls(uid, owner, details, create_time=now, update_time=now, enable_time=now, disable_reason=reason)

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.uid}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    def receives(self, customer: str) -> bool:
        """Returns whether messages about a customer's orders are for this endpoint."""
        return self.details.all_orders or customer == self.owner

    def reconfigures(self, details: EndpointDetails, *, disabled: bool) -> bool:
        """Returns whether an update with these details does more than disable it."""
        return details != self.details or (self.disable_reason is not None and not disabled)

    def update(self, details: EndpointDetails, *, disabled: bool, etag: str, now: datetime) -> Self:
        """Returns it with these details, enabled or disabled by its owner; itself if nothing changes. Enabling it
        forgets past failures, and that deliveries wait. Raises Aborted if `etag` is given and stale.
        """
        check_etag(etag, self.etag, STALE)
        if details == self.details and disabled == (self.disable_reason is not None):
            return self
        reason = (self.disable_reason or DisableReason.OWNER) if disabled else None
        enable_time = now if reason is None and self.disable_reason is not None else self.enable_time
        changed = replace(self, details=details, disable_reason=reason, failing_since=None, enable_time=enable_time)
        return changed._changed(now)

    def disable(self, reason: DisableReason, now: datetime) -> Self:
        """Returns it as disabled."""
        return replace(self, disable_reason=reason)._changed(now)

    def rotate_secret(self, now: datetime) -> Self:
        """Returns it with a new secret. Raises FailedPrecondition while the previous rotation still overlaps: only two
        secrets are valid at a time, and a third would end one that a receiver may still need.
        """
        if self.previous_secret_expire_time is not None and now < self.previous_secret_expire_time:
            raise FailedPrecondition(
                "The secret was rotated within the last 24 hours, and the previous one is still valid.",
                reason="WEBHOOK_SECRET_ROTATED",
                metadata={"previous_secret_expire_time": self.previous_secret_expire_time.isoformat()},
            )
        rotated = replace(self, secret_version=self.secret_version + 1, previous_secret_expire_time=now + OVERLAP)
        return rotated._changed(now)

    def signing_secrets(self, secrets: WebhookSecrets, now: datetime) -> Sequence[bytes]:
        """Returns the secrets that sign a message now, the newest first."""
        versions = [self.secret_version]
        if self.previous_secret_expire_time is not None and now < self.previous_secret_expire_time:
            versions.append(self.secret_version - 1)
        return [secrets.derive(self.uid, version) for version in versions]

    def after(
        self,
        *,
        succeeded: bool,
        gone: bool,
        overloaded: bool,
        now: datetime,
        disable_after: timedelta = DISABLE_AFTER,
    ) -> Self:
        """Returns it after attempts to deliver: `succeeded` if any did, `gone` if the receiver answered that the
        endpoint does not exist any more, `overloaded` if too many deliveries wait. It is disabled for the latter two,
        and if it has failed for `disable_after`.
        """
        if overloaded:
            return self.disable(DisableReason.OVERLOADED, now)
        if succeeded:
            return self if self.failing_since is None else replace(self, failing_since=None)
        failing = replace(self, failing_since=self.failing_since or now)
        if gone:
            return failing.disable(DisableReason.GONE, now)
        if failing.failing_since is not None and now - failing.failing_since >= disable_after:
            return failing.disable(DisableReason.FAILING, now)
        return failing

    def _changed(self, now: datetime) -> Self:
        return replace(self, update_time=now, version=self.version + 1)


def uid_of(name: str) -> UUID:
    """Returns the identifier in an endpoint's name. Raises NotFound if no endpoint can have this name."""
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise not_found()
    return uid


def owned_by(owner: str, endpoint: WebhookEndpoint | None) -> WebhookEndpoint:
    """Returns the endpoint if it is this user's. Raises NotFound, with the same message if it does not exist or belongs
    to somebody else.
    """
    if endpoint is None or endpoint.owner != owner:
        raise not_found()
    return endpoint


def check_scope(details: EndpointDetails, *, staff: bool) -> None:
    """Raises PermissionDenied if an endpoint for the orders of all customers is used without the scope of staff."""
    if details.all_orders and not staff:
        raise PermissionDenied(
            "Only staff may receive the orders of all customers.", reason="ALL_ORDERS_FOR_STAFF_ONLY"
        )


def check_count(existing: int) -> None:
    """Raises FailedPrecondition if a user has as many endpoints as allowed."""
    if existing >= ENDPOINTS_MAX:
        raise FailedPrecondition(
            f"A user can have {ENDPOINTS_MAX} webhook endpoints. Delete one first.", reason="WEBHOOK_ENDPOINTS_MAX"
        )


def check_enabled(endpoint: WebhookEndpoint) -> None:
    """Raises FailedPrecondition if the endpoint is disabled."""
    if endpoint.disable_reason is not None:
        raise FailedPrecondition(
            "The webhook endpoint is disabled. Enable it first.", reason="WEBHOOK_ENDPOINT_DISABLED"
        )


def not_found() -> NotFound:
    """Returns the error about an endpoint that does not exist."""
    return NotFound("The webhook endpoint does not exist.", reason="WEBHOOK_ENDPOINT_NOT_FOUND")
