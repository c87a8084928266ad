"""The event of a deleted user."""

from datetime import UTC, datetime
from uuid import uuid4

from meshwright.identity.v1.events_pb import UserDeleted

from mesh.events import Event


def deletion(user: str) -> Event[UserDeleted]:
    """Returns the event of a user's deletion."""
    return Event(str(uuid4()), "UserDeleted", "identity", user, datetime.now(UTC), UserDeleted(user=user))
