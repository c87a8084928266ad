"""The settings of the notifications service."""

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta

from mesh.email_address import PATTERN as EMAIL_ADDRESS
from mesh.settings import (
    PORT_FROM_1,
    Address,
    ClientSettings,
    DatabaseSettings,
    EventSettings,
    ServiceSettings,
    example,
)

SmtpUrl = Annotated[
    str,
    Meta(
        pattern=rf"^smtps?://(?:[^\s:/@]+:[^\s/@]+@)?(?:[^\s:/@\[\]]+|\[[0-9a-fA-F:.]+\])(?::{PORT_FROM_1})?/?\Z",
        description="must be a URL of the form smtp://host:port or smtps://user:password@host:port",
        examples=["smtps://shop:secret@mail.example.com:465"],
    ),
]
Sender = Annotated[
    str,
    Meta(
        pattern=rf"^(?:[^<>\r\n]+ <{EMAIL_ADDRESS}>|{EMAIL_ADDRESS})\Z",
        description="must be an address, name@example.com, or a name with one, Shop <shop@example.com>",
        examples=["Meshwright <shop@example.com>"],
    ),
]


@dataclass(frozen=True, kw_only=True)
class NotificationsSettings(ServiceSettings, ClientSettings, DatabaseSettings, EventSettings):
    """A service with a database and events, which calls identity as itself and sends mail."""

    identity_address: Annotated[Address, example("identity:9000")]
    smtp_url: SmtpUrl = field(repr=False)
    mail_from: Sender
