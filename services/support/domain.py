"""The rules of conversations: who sees them, what can be posted, and when they are open."""

import enum
import unicodedata
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

from mesh.blank_text import is_blank
from mesh.errors import FailedPrecondition, FieldViolation, InvalidArgument, NotFound, ResourceExhausted, invalid_fields
from mesh.etag import check_etag
from mesh.resource_name import uid_in

NAME_PREFIX = "conversations/"
MESSAGES_MAX = 10_000
OPEN_CONVERSATIONS_MAX = 20
CUSTOMER_STREAMS_MAX = 10
STAFF_STREAMS_MAX = 100

# Controls (NUL among them, which PostgreSQL can't store) and the separators of lines and paragraphs.
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_LAYOUT = frozenset("\n\r\t")


@dataclass(frozen=True, slots=True)
class Actor:
    """A user who takes part in conversations: a customer in their own, staff in all."""

    subject: str
    staff: bool = False

    @property
    def streams_max(self) -> int:
        """Returns the most streams of conversations that this user may have open at one process."""
        return STAFF_STREAMS_MAX if self.staff else CUSTOMER_STREAMS_MAX


class State(enum.Enum):
    """The state of a conversation."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message. `number` is its position in the conversation, from 1 on; `request_id` is None if it has none; `sender`
    is empty if that was a member of staff who is deleted.
    """

    conversation: UUID
    number: int
    sender: str
    from_staff: bool
    text: str
    create_time: datetime
    request_id: UUID | None

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.conversation}/messages/{self.number}"


@dataclass(frozen=True, slots=True)
class Participant:
    """A user who is or was in a conversation."""

    conversation: UUID
    user: str
    staff: bool
    connected: bool
    last_seen_time: datetime

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.conversation}/participants/{self.user.rpartition('/')[2]}"


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation. `version` grows by 1 with every message and every change of the state."""

    uid: UUID
    customer: str
    subject: str
    state: State
    message_count: int
    create_time: datetime
    update_time: datetime
    version: int

    @classmethod
    def create(cls, uid: UUID, customer: str, subject: str, now: datetime) -> Self:
        """Returns a new conversation. Raises InvalidArgument if the subject is blank or contains control characters."""
        if violation := _violation("conversation.subject", subject, layout=frozenset()):
            raise invalid_fields([violation])
        return cls(uid, customer, subject, State.OPEN, 0, create_time=now, update_time=now, version=1)

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.uid}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    def post(self, sender: Actor, text: str, request_id: UUID | None, now: datetime) -> tuple[Self, ChatMessage]:
        """Returns the conversation with one more message, and the message. Times never decrease, whichever clock `now`
        is from.

        Raises FailedPrecondition if the conversation is closed, ResourceExhausted if it is full.
        """
        if self.state is State.CLOSED:
            raise FailedPrecondition(
                "The conversation is closed. Reopen it, or create another one.", reason="CONVERSATION_CLOSED"
            )
        if self.message_count >= MESSAGES_MAX:
            raise ResourceExhausted(
                f"The conversation has {MESSAGES_MAX} messages, which is the limit. Create another one.",
                reason="CONVERSATION_FULL",
            )
        number, posted_at = self.message_count + 1, max(now, self.update_time)
        message = ChatMessage(self.uid, number, sender.subject, sender.staff, text, posted_at, request_id)
        changed = replace(self, message_count=number, update_time=posted_at, version=self.version + 1)
        return changed, message

    def move_to(self, state: State, etag: str, now: datetime) -> Self:
        """Returns the conversation in this state; itself if it is in it already.

        In that case a stale etag is ignored: the call is probably a repetition whose first response was lost. Raises
        Aborted if `etag` is given and stale.
        """
        if self.state is state:
            return self
        check_etag(etag, self.etag, "The conversation has changed since it was read. Read it again, then decide.")
        return replace(self, state=state, update_time=max(now, self.update_time), version=self.version + 1)


def uid_of(name: str) -> UUID:
    """Returns the identifier in a conversation's name. Raises NotFound if no conversation can have this name."""
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise not_found()
    return uid


def visible_to(actor: Actor, found: Conversation | None) -> Conversation:
    """Returns the conversation if this actor may see it. Raises NotFound, with the same message if it does not exist
    or belongs to somebody else.
    """
    if found is None or not (actor.staff or found.customer == actor.subject):
        raise not_found()
    return found


def checked_text(text: str, field: str) -> str:
    """Returns the text of a message. Raises InvalidArgument about this field if it is blank or contains control
    characters; the contract limits its length.
    """
    if violation := _violation(field, text, layout=_LAYOUT):
        raise invalid_fields([violation])
    return text


def repeated(earlier: ChatMessage, text: str) -> ChatMessage:
    """Returns the message that was posted with the request_id of this text before. Raises InvalidArgument if its text
    is a different one.
    """
    if earlier.text != text:
        why = "was already used for a different message; use a new one"
        violation = FieldViolation("request_id", why, "REQUEST_ID_REUSED")
        raise InvalidArgument(f"request_id {why}.", reason="REQUEST_ID_REUSED", violations=[violation])
    return earlier


def check_room(open_count: int) -> None:
    """Raises ResourceExhausted if a customer with this number of open conversations may not have another one."""
    if open_count >= OPEN_CONVERSATIONS_MAX:
        raise ResourceExhausted(
            f"The customer has {open_count} open conversations, which is the limit. Close one first.",
            reason="TOO_MANY_CONVERSATIONS",
        )


def not_found() -> NotFound:
    """Returns the error of a conversation that does not exist, or that the caller may not know of."""
    return NotFound("The conversation does not exist.", reason="CONVERSATION_NOT_FOUND")


def _violation(field: str, text: str, *, layout: frozenset[str]) -> FieldViolation | None:
    if is_blank(text):
        return FieldViolation(field, "must be given", "REQUIRED")
    if any(unicodedata.category(char) in _CONTROL_CATEGORIES and char not in layout for char in text):
        allowed = " other than line breaks and tabs" if layout else " or line breaks"
        return FieldViolation(field, f"must not have control characters{allowed}", "TEXT_INVALID")
    return None
