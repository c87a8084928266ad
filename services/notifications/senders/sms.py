"""SMS: the port to a gateway, the sandbox that writes to a file, and the channel."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from mesh.database import Database
from services.notifications.domain.notification import Notification
from services.notifications.senders.channel import Undeliverable
from services.notifications.storage import preferences

SENDER: Final = "Meshwright"
TEXT_LENGTH_MAX: Final = 160  # one SMS, if it has the characters of GSM 03.38 only


class SmsGateway(Protocol):
    """A gateway that sends SMS."""

    async def send(self, phone_number: str, text: str, *, message_id: str) -> None:
        """Sends a text to a phone number in the form of E.164, and returns once the gateway has accepted it. A gateway
        can recognise a repeated message by its id. Raises Undeliverable; after any other exception a retry may succeed.
        """


class FileSmsGateway:
    """The sandbox: each message is a line of JSON in a file, and delivered to nobody."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def send(self, phone_number: str, text: str, *, message_id: str) -> None:
        """Appends a message to the file, as SmsGateway.send() sends one. Raises OSError."""
        line = {"id": message_id, "to": phone_number, "text": text, "time": datetime.now(UTC).isoformat()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # One write to a file that is open for appending: the lines of several processes do not mix.
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(file, json.dumps(line, ensure_ascii=False).encode() + b"\n")
        finally:
            os.close(file)


class SmsSender:
    """The channel of SMS: it sends the subject to the number that the user has verified."""

    def __init__(self, database: Database, gateway: SmsGateway | None) -> None:
        self._database = database
        self._gateway = gateway

    async def send(self, notification: Notification) -> None:
        """Sends a notification, as Sender.send() does. Raises Undeliverable if the user has no phone number any more,
        or there is no gateway.
        """
        async with self._database.transaction() as tx:
            chosen = await preferences.find(tx, notification.user)
        if not chosen.phone_number:
            raise Undeliverable("the user has no phone number")
        if self._gateway is None:
            raise Undeliverable("there is no SMS gateway")
        text = f"{SENDER}: {notification.subject}"[:TEXT_LENGTH_MAX]
        await self._gateway.send(chosen.phone_number, text, message_id=str(notification.uid))
