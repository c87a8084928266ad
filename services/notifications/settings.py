"""The settings of the notifications service."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NameEmail

from mesh.settings import Address, ClientSettings, DatabaseSettings, EventSettings, ServiceSettings


def _smtp_url(value: str) -> str:
    problem = "must be a URL of the form smtp://host:port or smtps://user:password@host:port"
    try:
        url = urlsplit(value)
        complete = url.scheme in ("smtp", "smtps") and url.hostname and url.port != 0
    except ValueError:
        raise ValueError(problem) from None  # the standard library's text quotes the value, which may hold a password
    if not complete or url.path not in ("", "/") or (url.username is None) != (url.password is None):
        raise ValueError(problem)
    return value


class NotificationsSettings(ServiceSettings, ClientSettings, DatabaseSettings, EventSettings):
    """A service with a database and events, which calls identity as itself and sends mail."""

    identity_address: Address = Field(examples=["identity:9000"])
    smtp_url: Annotated[str, AfterValidator(_smtp_url)] = Field(examples=["smtps://shop:secret@mail.example.com:465"])
    mail_from: NameEmail = Field(examples=["Meshwright <shop@example.com>"])
