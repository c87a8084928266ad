"""A mail server for the local mesh: it delivers to nobody, and shows every message on a page.

    python -m local.mail

Settings: SMTP_PORT, MAIL_PAGE_PORT, MAIL_PAGE_TOKEN, MAIL_FOLDER. It speaks SMTP, so that services send mail here as
they do anywhere. The page lies below a path that begins with the token, because mails hold what lets one confirm an
address or reset a password, and every user of a machine reaches its loopback interface.
"""

import asyncio
import email
import email.message
import email.policy
import html
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Self
from uuid import uuid4

from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import Field, SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from mesh.http_server import HttpServer
from mesh.process import Process, run
from mesh.settings import Port, ProcessSettings, matching

LOOPBACK = "127.0.0.1"  # local.ports needs psutil, which the image does not contain
MESSAGE_BYTES_MAX = 10 * 1024 * 1024
MESSAGES_MAX = 1000  # the oldest ones go

PAGE_HEADERS = {"content-security-policy": "script-src 'none'", "referrer-policy": "no-referrer"}
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>Mail</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem; }}
  article {{ border-top: 1px solid #8888; padding: 1rem 0; }}
  pre {{ white-space: pre-wrap; font: inherit; }}
  small {{ opacity: .7; }}
</style>
<h1>Mail</h1>
<p>What the mesh has sent, the newest first. Nothing leaves this machine.</p>
{messages}
</html>
"""
MESSAGE = """\
<article>
  <strong>{subject}</strong><br><small>to {to}, from {sender}, {time}</small>
  <pre>{text}</pre>
</article>"""


PageToken = Annotated[SecretStr, matching(r"^[A-Za-z0-9_-]{32,}\Z", "must be at least 32 letters, digits, - and _")]


class MailSettings(ProcessSettings):
    """Where it listens, and where it keeps the messages. Without a token the page is for the loopback interface only,
    which in a pod nobody reaches without port-forward.
    """

    smtp_port: Port = Field(description="the port that mail is sent to", examples=[8026])
    mail_page_port: Port = Field(description="the port of the page", examples=[8025])
    mail_page_token: PageToken | None = Field(
        None,
        description="the beginning of the page's path",
        examples=["the output of `openssl rand -hex 16`"],
    )
    mail_folder: Path = Field(description="where messages are kept", examples=[".mesh/data/mail"])


@dataclass(frozen=True, slots=True)
class Message:
    """A message, its headers decoded. `time` is when it came in, RFC 3339."""

    id: str
    time: str
    sender: str
    to: str
    subject: str
    text: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """The message kept in this file."""
        parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = parsed.get_body(("plain", "html"))
        time = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        return cls(
            id=path.stem,
            time=time.isoformat(timespec="seconds").replace("+00:00", "Z"),
            sender=str(parsed["from"] or ""),
            to=str(parsed["to"] or ""),
            subject=str(parsed["subject"] or ""),
            text="" if body is None else _text(body),
        )


def _text(part: email.message.MIMEPart) -> str:
    try:
        return str(part.get_content())
    except LookupError:  # its charset is unknown
        return bytes(part.get_payload(decode=True)).decode(errors="replace")


class Mailbox:
    """The messages of a folder, each an .eml file, which any mail program opens. Only their owner can read them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)

    def add(self, content: bytes) -> None:
        """Keep a message. It is on disk before its sender is told so."""
        path = self._folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-{uuid4().hex[:8]}.eml"
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_bytes(content)
        new.rename(path)
        for old in self._paths()[MESSAGES_MAX:]:
            old.unlink()

    def messages(self) -> list[Message]:
        """All of them, the newest first."""
        return [Message.read(path) for path in self._paths()]

    def _paths(self) -> Sequence[Path]:
        return sorted(self._folder.glob("*.eml"), reverse=True)


class Delivery:
    """What aiosmtpd calls with each message."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its hook
        """Keep the message and say so, in SMTP's words (RFC 5321, section 4.2)."""
        content = envelope.content
        self._mailbox.add(content if isinstance(content, bytes) else (content or "").encode())
        return "250 OK"


def page(mailbox: Mailbox, token: str | None) -> Starlette:
    """Returns the application: `/` for people and `/messages` as JSON for programs, both below the token if any."""

    async def show(request: Request) -> Response:
        messages = "\n".join(_as_html(message) for message in mailbox.messages()) or "<p>No message yet.</p>"
        return HTMLResponse(PAGE.format(messages=messages), headers=PAGE_HEADERS)

    async def list_messages(request: Request) -> Response:
        fields = ("id", "time", "sender", "to", "subject", "text")
        messages = mailbox.messages()
        return JSONResponse([{name: getattr(message, name) for name in fields} for message in messages])

    routes = [Route("/", show), Route("/messages", list_messages)]
    return Starlette(routes=[Mount(f"/{token}", routes=routes)] if token else routes)


def _as_html(message: Message) -> str:
    fields = (message.subject, message.to, message.sender, message.time, message.text)
    subject, to, sender, time, text = map(html.escape, fields)
    return MESSAGE.format(subject=subject, to=to, sender=sender, time=time, text=text)


async def wire(process: Process, settings: MailSettings) -> None:
    """The SMTP server and the page."""
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
    await process.enter(HttpServer(page(mailbox, token), host, settings.mail_page_port))


if __name__ == "__main__":
    run("mail", MailSettings, wire)
