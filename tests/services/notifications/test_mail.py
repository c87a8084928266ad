"""The composition of mails, and SMTP with and without TLS."""

import asyncio
import ssl
from datetime import UTC, datetime
from uuid import UUID

import pytest
from aiosmtpd.smtp import SMTP

from services.notifications.domain.letter import Letter
from services.notifications.domain.notification import Kind, Notification
from services.notifications.senders.mail import Mailer, MailError, UndeliverableMail, compose
from tests.services.notifications.smtp import MailServer

SENDER = "Möbel & Co <shop@example.com>"
NOTIFICATION = Notification(
    UUID(int=7), "users/ada", Kind.WELCOME, "Welcome", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
)
LETTER = Letter("Welcome to Meshwright", "Hello Jürgen 🌱,\n\nwelcome.\n")


async def test_a_message_arrives_as_it_was_written(mail_server: MailServer) -> None:
    """Headers and text are unchanged, including characters beyond ASCII; the envelope has the sender."""
    message = compose(NOTIFICATION, LETTER, sender=SENDER, recipient="ada@example.com")
    await Mailer(f"smtp://127.0.0.1:{mail_server.port}").send(message)
    [received] = mail_server.messages
    assert received["From"] == "Möbel & Co <shop@example.com>"
    assert received["To"] == "ada@example.com"
    assert received["Subject"] == "Welcome to Meshwright"
    assert received["Date"] == "Fri, 02 Jan 2026 03:04:05 +0000"
    assert received["Message-ID"] == f"<{NOTIFICATION.uid}@example.com>"
    assert received["Auto-Submitted"] == "auto-generated"
    assert received.get_content().replace("\r\n", "\n") == LETTER.text
    assert mail_server.senders == ["shop@example.com"]


@pytest.mark.parametrize(
    "recipient", ["", "ada", "ada@example.com\r\nBcc: eve@example.com", "a@b, c@d", "<>", "a..b@c.de"]
)
def test_an_invalid_address_gets_no_mail(recipient: str) -> None:
    """Only one address may be in the To header, and the error does not repeat the text."""
    with pytest.raises(UndeliverableMail) as caught:
        compose(NOTIFICATION, LETTER, sender=SENDER, recipient=recipient)
    assert str(caught.value) == "the recipient's address is not a valid e-mail address"


@pytest.mark.parametrize(
    ("sender", "header"),
    [
        ("shop@example.com", "shop@example.com"),
        ("Shop, Inc. <shop@example.com>", '"Shop, Inc." <shop@example.com>'),
        ('"Shop, Inc." <shop@example.com>', '"Shop, Inc." <shop@example.com>'),
        ("eve@example.com (Shop) <shop@example.com>", '"eve@example.com (Shop)" <shop@example.com>'),
    ],
)
def test_a_name_of_the_sender_may_hold_any_character(sender: str, header: str) -> None:
    """Every sender that the settings accept can be used; a comma does not make a second address."""
    message = compose(NOTIFICATION, LETTER, sender=sender, recipient="ada@example.com")
    assert message["From"] == header
    assert message["Message-ID"].endswith("@example.com>")


def test_a_line_break_adds_no_header() -> None:
    """A subject with two lines is an error."""
    with pytest.raises(ValueError, match="linefeed"):
        compose(NOTIFICATION, Letter("Hi\r\nBcc: eve@example.com", ""), sender=SENDER, recipient="ada@example.com")


async def test_a_password_goes_over_starttls(certificate: ssl.SSLContext) -> None:
    """With smtp:// and a password, STARTTLS comes first; %-escapes of the URL are decoded."""
    message = compose(NOTIFICATION, LETTER, sender=SENDER, recipient="ada@example.com")
    async with MailServer(tls_context=certificate) as server:
        await Mailer(f"smtp://me%40shop:a%2Fb@127.0.0.1:{server.port}").send(message)
    assert (server.logins, server.encrypted) == ([(b"me@shop", b"a/b")], [True])


async def test_starttls_is_taken_where_it_is_offered(certificate: ssl.SSLContext) -> None:
    """Without a password, too, TLS is used if the server offers it."""
    message = compose(NOTIFICATION, LETTER, sender=SENDER, recipient="ada@example.com")
    async with MailServer(tls_context=certificate) as server:
        await Mailer(f"smtp://127.0.0.1:{server.port}").send(message)
    assert server.encrypted == [True]


async def test_smtps_is_tls_from_the_start(certificate: ssl.SSLContext) -> None:
    """With smtps://, login and mail use a connection with TLS from its first byte."""
    message = compose(NOTIFICATION, LETTER, sender=SENDER, recipient="ada@example.com")
    async with MailServer(tls_from_the_start=certificate, auth_require_tls=False) as server:
        await Mailer(f"smtps://me:secret@127.0.0.1:{server.port}").send(message)
    assert (server.logins, server.encrypted) == ([(b"me", b"secret")], [True])


async def test_a_password_is_not_sent_in_the_clear() -> None:
    """A server that offers no TLS receives neither login nor mail."""
    message = compose(NOTIFICATION, LETTER, sender=SENDER, recipient="ada@example.com")
    async with MailServer(auth_require_tls=False) as server:
        with pytest.raises(MailError):
            await Mailer(f"smtp://me:secret@127.0.0.1:{server.port}").send(message)
    assert (server.logins, server.messages) == ([], [])


async def test_an_unknown_certificate_is_not_trusted(
    certificate: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose certificate can't be verified receives no mail."""
    monkeypatch.delenv("SSL_CERT_FILE")
    message = compose(NOTIFICATION, LETTER, sender=SENDER, recipient="ada@example.com")
    async with MailServer(tls_context=certificate) as server:
        with pytest.raises(MailError):
            await Mailer(f"smtp://127.0.0.1:{server.port}").send(message)
    assert server.messages == []


@pytest.mark.parametrize(("command", "ends"), [("QUIT", False), ("QUIT", True), ("DATA", True)])
async def test_a_message_that_was_accepted_is_sent(
    mail_server: MailServer, monkeypatch: pytest.MonkeyPatch, command: str, ends: bool
) -> None:
    """Also if the server does not answer the end of the session, or ends it by itself: a retry would send the message
    again.
    """

    async def slow(self: SMTP, argument: str) -> None:
        if command == "DATA":
            await answer(self, argument)
        elif not ends:
            await asyncio.Event().wait()
        if self.transport is not None:
            self.transport.close()

    answer = getattr(SMTP, f"smtp_{command}")
    monkeypatch.setattr(SMTP, f"smtp_{command}", slow)
    message = compose(NOTIFICATION, LETTER, sender=SENDER, recipient="ada@example.com")
    await Mailer(f"smtp://127.0.0.1:{mail_server.port}").send(message)
    assert len(mail_server.messages) == 1


async def test_errors_name_no_address(mail_server: MailServer) -> None:
    """The error has the server's code, or that the server does not answer, but not the recipient."""
    message = compose(NOTIFICATION, LETTER, sender=SENDER, recipient="ada@example.com")
    mailer = Mailer(f"smtp://127.0.0.1:{mail_server.port}")
    mail_server.refusal = "550 ada@example.com is unknown"
    with pytest.raises(MailError) as refused:
        await mailer.send(message)
    await mail_server.stop()
    with pytest.raises(MailError) as absent:
        await mailer.send(message)
    await mail_server.start()
    assert str(refused.value) == "the mail server rejects the recipient with 550"
    assert str(absent.value) == "the mail server does not answer"
    assert all(caught.value.__suppress_context__ and not caught.value.__cause__ for caught in (refused, absent))


@pytest.mark.parametrize(
    ("hook", "answer", "final"),
    [
        ("refusal", "550 5.1.1 no such user", True),
        ("refusal", "450 4.2.0 greylisted", False),
        ("refusal", "421 4.3.2 going down", False),
        ("message_refusal", "554 5.7.1 looks like spam", True),
        ("message_refusal", "451 4.3.0 try later", False),
        ("sender_refusal", "550 5.7.1 you may not send", False),
    ],
)
async def test_a_permanent_rejection_is_undeliverable(
    mail_server: MailServer, hook: str, answer: str, final: bool
) -> None:
    """5yz to the recipient or the message is permanent; 4yz is temporary, and errors of the sender are for an operator
    to fix.
    """
    message = compose(NOTIFICATION, LETTER, sender=SENDER, recipient="ada@example.com")
    setattr(mail_server, hook, answer)
    with pytest.raises(MailError) as caught:
        await Mailer(f"smtp://127.0.0.1:{mail_server.port}").send(message)
    assert isinstance(caught.value, UndeliverableMail) is final
