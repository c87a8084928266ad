"""Mail over SMTP."""

import asyncio
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib

from mesh.email_address import is_email_address
from services.notifications.domain import Letter, Notification

SEND_TIMEOUT_S = 10.0
PERMANENT = 500


class MailError(Exception):
    """A mail was not sent; a later try may succeed. The text holds no address."""


class UndeliverableMail(MailError):
    """A mail can't be delivered, however often it is tried."""


def compose(notification: Notification, letter: Letter, *, sender: str, recipient: str) -> EmailMessage:
    """The message of a notification. `sender` is "name@example.com" or "Name <name@example.com>". The Message-ID is the
    same each time, so that a repeated one is known as such.

    Raises UndeliverableMail if `recipient` is no address; EmailMessage itself refuses a value that would add a header.
    """
    if not is_email_address(recipient):
        raise UndeliverableMail("the recipient's address is not one")
    message = EmailMessage()
    author = _author(sender)
    message["From"] = author
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = letter.subject
    message["Date"] = format_datetime(notification.send_time)
    message["Message-ID"] = f"<{notification.uid}@{author.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no "out of office" for this one
    message.set_content(letter.text)
    return message


def _author(sender: str) -> Address:
    """The sender, as the settings have checked it. A name may hold commas and other signs of the grammar, so that
    email.utils.parseaddr() would take a part of it for the address.
    """
    name, bracket, address = sender.removesuffix(">").rpartition(" <")
    return Address(name.strip(' "') if bracket else "", addr_spec=address)


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
        """Returns once the server has taken the message. Raises UndeliverableMail if it refuses the recipient or the
        message for good, MailError if a later try may succeed.
        """
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
            kind = UndeliverableMail if _is_final(error) else MailError
            raise kind(_problem(error)) from None


def _is_final(error: Exception) -> bool:
    """Whether the server refuses this recipient or this message for good (RFC 5321, section 4.2.1: 5yz). What it says
    to the connection, the login or the sender is for an operator to mend.
    """
    match error:
        case aiosmtplib.SMTPRecipientsRefused(recipients=[refusal, *_]):
            return refusal.code >= PERMANENT
        case aiosmtplib.SMTPDataError():
            return error.code >= PERMANENT
        case _:
            return False


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
