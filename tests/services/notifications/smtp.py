"""A real SMTP server that stores the messages it receives."""

import asyncio
import email.policy
from email import message_from_bytes
from email.message import EmailMessage
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from local.ports import free_port


class MailServer:
    """A server on one port, which can be restarted. While `refusal` is set, it is the reply to every recipient; the
    other two are for senders and messages. `refusals` has those to single recipients.
    """

    def __init__(self, **options: Any) -> None:
        self.port = free_port()
        self.messages: list[EmailMessage] = []
        self.senders: list[str | None] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.encrypted: list[bool] = []
        self.refusal = self.sender_refusal = self.message_refusal = ""
        self.refusals: dict[str, str] = {}
        self._options = options
        self._tls_from_the_start: SSLContext | None = options.pop("tls_from_the_start", None)
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Starts to listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: SMTP(self, hostname="mail.test", loop=loop, authenticator=self._authenticate, **self._options),
            "127.0.0.1",
            self.port,
            ssl=self._tls_from_the_start,
        )

    async def stop(self) -> None:
        """Stops listening."""
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: LoginPassword
    ) -> AuthResult:
        self.logins.append((login.login, login.password))
        return AuthResult(success=True)

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's hook
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accepts a sender, unless a refusal is set."""
        if not self.sender_refusal:
            envelope.mail_from = address
        return self.sender_refusal or "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's hook
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accepts a recipient, unless a refusal is set."""
        if refusal := self.refusals.get(address, self.refusal):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its hook
        """Stores the message, unless a refusal is set."""
        if self.message_refusal:
            return self.message_refusal
        assert isinstance(envelope.content, bytes)
        self.messages.append(message_from_bytes(envelope.content, policy=email.policy.default))
        self.senders.append(envelope.mail_from)
        self.encrypted.append(session.ssl is not None or self._tls_from_the_start is not None)
        return "250 OK"
