"""The names of exchanges and queues, which permissions rest on.

An event passes from the exchange of its type, the only one that a service may publish to, through the type's exchange
of routes and one exchange for each subscription to the type into the queue of the subscription:

    meshwright.identity.v1.UserDeleted -> routes:meshwright.identity.v1.UserDeleted
        -> notifications:meshwright.identity.v1.UserDeleted -> notifications

The exchange of a type is declared last, and its routes are its alternate exchange from the beginning. So there is no
moment at which an event is accepted and lost because its queues are not bound yet. A subscriber can see whether the
exchange of its subscription to a type exists; AMQP has no way to see bindings. A message shows the exchange that it was
published to, however it got into the queue. No event type has a colon in its name.
"""

from typing import Final

REJECTED: Final = "rejected:"
"""The queue of the messages that a consumer rejected, and of those that grew too old."""
REJECTED_ROUTE: Final = "routes:rejected"
"""The exchange that leads there."""


def routes(event_type: str) -> str:
    """Returns the exchange that knows the subscriptions to a type of event."""
    return f"routes:{event_type}"


def route(subscription: str, event_type: str) -> str:
    """Returns the exchange that exists if the subscription delivers the type of event."""
    return f"{subscription}:{event_type}"
