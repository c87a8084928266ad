"""The port to a channel that takes messages out of the shop."""

from typing import Protocol

from services.notifications.domain.notification import Notification


class Undeliverable(Exception):
    """A message that can't be delivered by any number of tries. Its text is for the log, without the recipient."""


class Sender(Protocol):
    """A channel on which notifications are sent."""

    async def send(self, notification: Notification) -> None:
        """Sends a notification, and returns once the channel has accepted it. Raises Undeliverable; after any other
        exception a retry may succeed.
        """
