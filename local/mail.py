"""A mail server for the local mesh. It delivers no message and shows all of them on a page.

    python -m local.mail

Settings: SMTP_PORT, MAIL_PAGE_PORT, MAIL_PAGE_TOKEN, MAIL_FOLDER. It speaks SMTP, so that services send mail here as
they do in a cluster. The path of the page begins with the token, because mails contain links that confirm an address or
reset a password, and every user of a machine can connect to its loopback interface.
"""

import asyncio
from pathlib import Path
from typing import Annotated

from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import Field, SecretStr

from local.mail_page import mail_page
from local.mailbox import Mailbox
from mesh.http_server import HttpServer
from mesh.listening import bind
from mesh.process import Process, run
from mesh.settings import Port, ProcessSettings, matching

LOOPBACK = "127.0.0.1"  # local.ports needs psutil, which the image does not contain
MESSAGE_BYTES_MAX = 10 * 1024 * 1024

PageToken = Annotated[SecretStr, matching(r"^[A-Za-z0-9_-]{32,}\Z", "must be at least 32 letters, digits, - and _")]


class MailSettings(ProcessSettings):
    """The addresses of the server and the folder of the messages. Without a token the page listens on the loopback
    interface only, which in a pod can be reached by port-forward only.
    """

    smtp_port: Port = Field(description="the port that mail is sent to", examples=[8026])
    mail_page_port: Port = Field(description="the port of the page", examples=[8025])
    mail_page_token: PageToken | None = Field(
        None,
        description="the beginning of the page's path",
        examples=["the output of `openssl rand -hex 16`"],
    )
    mail_folder: Path = Field(description="where messages are kept", examples=[".mesh/data/mail"])


class Delivery:
    """The handler that aiosmtpd calls with each message."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its hook
        """Stores the message and returns SMTP's reply (RFC 5321, section 4.2)."""
        content = envelope.content
        self._mailbox.add(content if isinstance(content, bytes) else (content or "").encode())
        return "250 OK"


async def wire(process: Process, settings: MailSettings) -> None:
    """Starts the SMTP server and the page."""
    mailbox = Mailbox(settings.mail_folder)
    delivery = Delivery(mailbox)
    smtp = await asyncio.get_running_loop().create_server(
        lambda: SMTP(delivery, data_size_limit=MESSAGE_BYTES_MAX, enable_SMTPUTF8=True),
        settings.listen_host,
        settings.smtp_port,
    )
    await process.enter(smtp)
    token = settings.mail_page_token.get_secret_value() if settings.mail_page_token else None
    host = settings.listen_host if token else LOOPBACK
    await process.enter(HttpServer(mail_page(mailbox, token), bind(host, settings.mail_page_port)))


if __name__ == "__main__":
    run("mail", MailSettings, wire)
