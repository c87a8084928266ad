"""Notifications, and the texts of mails."""

from dataclasses import dataclass
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

# Domains whose mailboxes ignore dots in the local part, so that one mailbox has many spellings.
_DOTLESS_DOMAINS = frozenset({"gmail.com", "googlemail.com"})


@dataclass(frozen=True, slots=True)
class Notification:
    """A mail that was sent to a user ("users/{uid}"), or could not be delivered. Address and text are not stored."""

    uid: UUID
    user: str
    subject: str
    send_time: datetime
    undeliverable: bool = False

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"notifications/{self.uid}"


@dataclass(frozen=True, slots=True)
class Letter:
    """The content of a mail, in plain text."""

    subject: str
    text: str


def notification_uid(source: str, event_id: str) -> UUID:
    """Returns the identifier of the notification for an event, the same each time that the event is handled.

    By CloudEvents 1.0, source and id together identify an event.
    """
    return uuid5(NAMESPACE_URL, f"{source}#{event_id}")


def mailbox(address: str) -> str:
    """Normalises an address, so that addresses of one mailbox are likely to become equal: to lower case, without a
    subaddress (RFC 5233), and without the dots that some providers ignore. For counting only, not for sending.
    """
    local, _, domain = address.lower().rpartition("@")
    local = local.partition("+")[0] or local
    if domain in _DOTLESS_DOMAINS:
        local = local.replace(".", "")
    return f"{local}@{domain}"


def welcome() -> Letter:
    """Returns the letter to a new user. It holds no text of the user's, because the address is not confirmed."""
    return Letter(
        "Welcome to Meshwright",
        """\
Hello,

welcome to Meshwright. Your account is ready: sign in with this e-mail
address, choose what you like, and order.

If it was not you who registered, you need not do anything: without your
password nobody can use the account.

Meshwright
""",
    )


def registered_already() -> Letter:
    """Returns the letter to the owner of an address that somebody tried to register again."""
    return Letter(
        "You have an account at Meshwright",
        """\
Hello,

somebody tried to register at Meshwright with this e-mail address. It has
an account already, and nothing was changed: if it was you, sign in with
the password that you chose then.

If it was not you, you need not do anything.

Meshwright
""",
    )
