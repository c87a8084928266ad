"""What a notification is, and what the mails say."""

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import NAMESPACE_URL, UUID, uuid5

# What mail programs turn into a link: "https://…", "www.shop.com", "shop.com/x", "x@shop.com".
_LINK = re.compile(r"[/@]|\w\.\w")


@dataclass(frozen=True, slots=True)
class Notification:
    """A mail that was sent to a user ("users/{uid}"). The address and the text are not kept."""

    uid: UUID
    user: str
    subject: str
    send_time: datetime

    @property
    def name(self) -> str:
        """The resource name."""
        return f"notifications/{self.uid}"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a mail goes to."""

    email: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Letter:
    """What a mail says, in plain text."""

    subject: str
    text: str


def notification_uid(source: str, event_id: str) -> UUID:
    """The identifier of the notification that an event causes: the same each time that the event is handled.

    CloudEvents 1.0: source and id together identify an event.
    """
    return uuid5(NAMESPACE_URL, f"{source}#{event_id}")


def welcome(display_name: str) -> Letter:
    """The letter to a new user."""
    return Letter(
        "Welcome to Meshwright",
        f"""\
Hello{_greeted(display_name)},

welcome to Meshwright. Your account is ready: sign in with this e-mail
address, choose what you like, and order.

If it was not you who registered, you need not do anything: without your
password nobody can use the account.

Meshwright
""",
    )


def _greeted(display_name: str) -> str:
    """The name as it stands after "Hello", on one line. Nothing where it could be a link.

    Whoever registers chooses name and address: a name that is an advertisement would be one in our mail to a stranger.
    """
    name = " ".join(display_name.split())
    return f" {name}" if name and not _LINK.search(name) else ""
