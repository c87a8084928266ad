"""Mail by SMTP."""

import asyncio
import contextlib
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from urllib.parse import unquote, urlsplit

import aiosmtplib

from mesh.email_address import is_email_address
from services.notifications.clients import Users
from services.notifications.domain.letter import Letter
from services.notifications.domain.notification import Notification
from services.notifications.senders.channel import Undeliverable

CONNECT_TIMEOUT_S = 8.0
ACCEPT_TIMEOUT_S = 15.0  # a server that scans a message has taken it when we give up, and gets it again
QUIT_TIMEOUT_S = 1.0
PERMANENT = 500


class MailError(Exception):
    """A mail that was not sent; a retry may succeed. The message holds no address."""


class UndeliverableMail(MailError, Undeliverable):
    """A mail that can't be delivered by any number of tries."""


def compose(notification: Notification, letter: Letter, *, sender: str, recipient: str) -> EmailMessage:
    """Returns the message of a notification. `sender` is "name@example.com" or "Name <name@example.com>". The
    Message-ID is the same each time, so that a mail server can detect the duplicate.

    Raises UndeliverableMail if `recipient` is not an address; EmailMessage itself rejects values that would add a
    header.
    """
    if not is_email_address(recipient):
        raise UndeliverableMail("the recipient's address is not a valid e-mail address")
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
    """Parses the sender, which the settings have validated. The name may hold commas and other special characters, so
    that email.utils.parseaddr() would take a part of it for the address.
    """
    name, bracket, address = sender.removesuffix(">").rpartition(" <")
    return Address(name.strip(' "') if bracket else "", addr_spec=address)


class Mailer:
    """The client of the mail server at an SMTP URL. It opens a connection for each message.

    smtps:// uses TLS from the start (RFC 8314). smtp:// uses STARTTLS if the server offers it, and requires it if there
    is a password. Certificates are verified.
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
        """Sends a message, and returns once the server has accepted it, whatever comes after that. Raises
        UndeliverableMail if the server rejects the recipient or the message permanently, MailError if a retry may
        succeed.
        """
        client = aiosmtplib.SMTP(
            hostname=self._hostname,
            port=self._port,
            username=self._username,
            password=self._password,
            use_tls=self._use_tls,
            start_tls=self._start_tls,
            timeout=None,
        )
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await client.connect()
            async with asyncio.timeout(ACCEPT_TIMEOUT_S):
                await client.send_message(message)
        except (aiosmtplib.SMTPException, OSError) as error:
            # Without the cause: this error is logged, and the library's messages quote the recipient.
            kind = UndeliverableMail if _is_final(error) else MailError
            raise kind(_problem(error)) from None
        finally:
            await _quit(client)


class MailSender:
    """The channel of mail: it sends to the address that identity knows now, once its user has confirmed it."""

    def __init__(self, users: Users, mailer: Mailer, sender: str) -> None:
        self._users = users
        self._mailer = mailer
        self._sender = sender

    async def send(self, notification: Notification) -> None:
        """Sends a notification, as Sender.send() does. Raises Undeliverable if the user is gone or the address is
        rejected permanently, MailError or the MeshError of a failed call if a retry may succeed: the address may be
        confirmed by then.
        """
        recipient = await self._users.find_recipient(notification.user)
        if recipient is None:
            raise Undeliverable("the user does not exist")
        if not recipient.confirmed:
            raise MailError("the address is not confirmed yet")
        letter = Letter(notification.subject, notification.text)
        await self._mailer.send(compose(notification, letter, sender=self._sender, recipient=recipient.address))


async def _quit(client: aiosmtplib.SMTP) -> None:
    """Ends a session (RFC 5321, section 4.1.1.10). An error changes nothing: the message is accepted, or it is not."""
    with contextlib.suppress(aiosmtplib.SMTPException, OSError):
        async with asyncio.timeout(QUIT_TIMEOUT_S):
            await client.quit()
    client.close()


def _is_final(error: Exception) -> bool:
    """Returns whether the server rejects this recipient or message permanently (RFC 5321, section 4.2.1: 5yz). Errors
    of the connection, the login or the sender are for an operator to fix.
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
            return f"the mail server rejects the recipient with {refusal.code}"
        case aiosmtplib.SMTPResponseException():
            return f"the mail server responds with {error.code}"
        case ssl.SSLError():
            return f"TLS with the mail server failed: {error.reason}"
        case aiosmtplib.SMTPConnectError() | OSError():
            return "the mail server does not answer"
        case _:
            return f"the mail can't be sent ({type(error).__name__})"
