"""The access of callers to what a webhook endpoint receives: its deliveries, its secret and further messages."""

from typing import Final

from mesh.rpc import Call
from services.notifications.domain.webhook_endpoint import EndpointDetails, WebhookEndpoint, check_scope, owned_by

STAFF_SCOPE: Final = "orders.manage"


def check_details(details: EndpointDetails, call: Call) -> None:
    """Raises PermissionDenied if these details are of an endpoint for all orders, and the caller may not see those."""
    check_scope(details, staff=STAFF_SCOPE in call.caller.scopes)


def accessible(endpoint: WebhookEndpoint | None, call: Call) -> WebhookEndpoint:
    """Returns the endpoint if the caller may see what it receives. Raises NotFound if it is not the caller's, and
    PermissionDenied if it receives orders that the access token does not reach.
    """
    owned = owned_by(call.caller.subject, endpoint)
    check_details(owned.details, call)
    return owned
