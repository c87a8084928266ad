"""The settings of the notifications service."""

from typing import Annotated

from pydantic import Field, SecretStr

from mesh.email_address import PATTERN as EMAIL_ADDRESS
from mesh.settings import (
    PORT_FROM_1,
    Address,
    ClientSettings,
    DatabaseSettings,
    EventSettings,
    ServiceSettings,
    matching,
)

SmtpUrl = Annotated[
    SecretStr,
    matching(
        rf"^smtps?://(?:[^\s:/@]+:[^\s/@]+@)?(?:[^\s:/@\[\]]+|\[[0-9a-fA-F:.]+\])(?::{PORT_FROM_1})?/?\Z",
        "must be a URL of the form smtp://host:port or smtps://user:password@host:port",
    ),
]
Sender = Annotated[
    str,
    matching(
        rf"^(?:[^<>\r\n]+ <{EMAIL_ADDRESS}>|{EMAIL_ADDRESS})\Z",
        "must be an address such as shop@example.com, or a name and an address such as Shop <shop@example.com>",
    ),
]


class NotificationsSettings(ServiceSettings, ClientSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events, which calls identity as itself and sends mail."""

    identity_address: Address = Field(description="the gRPC address of identity", examples=["identity:9000"])
    smtp_url: SmtpUrl = Field(
        description="the mail server, with the login that it requires",
        examples=["smtps://shop:secret@mail.example.com:465"],
    )
    mail_from: Sender = Field(description="the sender of all mails", examples=["Meshwright <shop@example.com>"])
