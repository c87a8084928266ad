"""The settings of the notifications service."""

import ipaddress
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

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
from services.notifications.domain.reachable_addresses import Network


def _parsed(networks: str) -> Sequence[Network]:
    return [ipaddress.ip_network(network) for network in networks.split(",") if network]


def _networks(networks: str) -> str:
    try:
        _parsed(networks)
    except ValueError:
        raise ValueError("must be networks such as 10.0.0.0/8,fd00::/8") from None
    return networks


SmtpUrl = Annotated[
    SecretStr,
    matching(
        rf"^smtps?://(?:[^\s:/@]+:[^\s/@]+@)?(?:[^\s:/@\[\]]+|\[[0-9a-fA-F:.]+\])(?::{PORT_FROM_1})?/?\Z",
        "must be a URL of the form smtp://host:port or smtps://user:password@host:port",
    ),
]
Networks = Annotated[str, AfterValidator(_networks)]
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
    sms_folder: str = Field(
        "",
        description="the folder in which the sandbox of SMS keeps messages; without it no SMS are sent",
        examples=["/data/sms"],
    )
    webhook_signing_secret: SecretStr = Field(
        min_length=16,
        description="the key from which the secrets of all webhook endpoints are derived; a new one replaces them all",
        examples=["the output of `openssl rand -hex 32`"],
    )
    webhook_http_allowed: bool = Field(
        False, description="webhook endpoints may have URLs that begin with http://", examples=["true"]
    )
    webhook_networks_allowed: Networks = Field(
        "",
        description="networks that webhooks may be sent to although they are not public",
        examples=["127.0.0.0/8,10.20.0.0/16"],
    )

    @property
    def webhook_networks(self) -> Sequence[Network]:
        """Returns WEBHOOK_NETWORKS_ALLOWED as networks."""
        return _parsed(self.webhook_networks_allowed)
