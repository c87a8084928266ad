"""Mail over SMTP."""

import asyncio
import ssl
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

from services.notifications.domain import Letter, Notification

SEND_TIMEOUT_S = 10.0


class MailError(Exception):
    """A mail was not sent. The text holds no address."""


def compose(notification: Notification, letter: Letter, *, sender: str, recipient: str) -> EmailMessage:
    """The message of a notification. `sender` is "name@example.com" or "Name <name@example.com>". The Message-ID is the
    same each time, so that a repeated one is known as such.

    Raises MailError if `recipient` is no address; EmailMessage itself refuses a value that would add a header.
    """
    message = EmailMessage()
    name, address = parseaddr(sender)
    message["From"] = Address(name, addr_spec=address)
    message["To"] = _address(recipient)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(notification.send_time)
    message["Message-ID"] = f"<{notification.uid}@{address.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no "out of office" for this one
    message.set_content(letter.text)
    return message


def _address(text: str) -> Address:
    try:
        return Address(addr_spec=text)
    except (ValueError, IndexError, HeaderParseError):  # the parser's ways to say no; its texts quote the address
        raise MailError("the recipient's address is not one") from None


class Mailer:
    """Sends messages by the server at an SMTP URL, each over a connection of its own.

    smtps:// is TLS from the start (RFC 8314). smtp:// becomes TLS by STARTTLS where the server offers it, and must
    before a password is sent. Certificates are verified.
    """

    def __init__(self, smtp_url: str) -> None:
        url = urlsplit(smtp_url)
        self._hostname = url.hostname
        self._port = url.port
        self._username = unquote(url.username) if url.username else None
        self._password = unquote(url.password) if url.password else None
        self._use_tls = url.scheme == "smtps"
        self._start_tls = False if self._use_tls else (True if self._username else None)

    async def send(self, message: EmailMessage) -> None:
        """Returns once the server has taken the message. Raises MailError."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await aiosmtplib.send(
                    message,
                    hostname=self._hostname,
                    port=self._port,
                    username=self._username,
                    password=self._password,
                    use_tls=self._use_tls,
                    start_tls=self._start_tls,
                    timeout=SEND_TIMEOUT_S,
                )
        except (aiosmtplib.SMTPException, OSError) as error:
            # Without its cause, for this goes to the log, and the library's texts quote the recipient.
            raise MailError(_problem(error)) from None


def _problem(error: Exception) -> str:
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refusal, *_]):
            return f"the mail server refuses the recipient with {refusal.code}"
        case aiosmtplib.SMTPResponseException():
            return f"the mail server answers {error.code}"
        case ssl.SSLError():
            return f"no TLS with the mail server: {error.reason}"
        case aiosmtplib.SMTPConnectError() | OSError():
            return "the mail server does not answer"
        case _:
            return f"the mail can't be sent ({type(error).__name__})"
