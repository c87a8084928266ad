"""The rules of conversations."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mesh.errors import Aborted, FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted
from services.support.domain import (
    MESSAGES_MAX,
    OPEN_CONVERSATIONS_MAX,
    Actor,
    ChatMessage,
    Conversation,
    State,
    check_room,
    checked_text,
    repeated,
    uid_of,
    visible_to,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ADA = Actor("users/ada")
EVE = Actor("users/eve", staff=True)


def created() -> Conversation:
    """Returns a new conversation of Ada."""
    return Conversation.create(UUID(int=7), ADA.subject, "A blunt saw", NOW)


class Conversing(RuleBasedStateMachine):
    """A conversation, compared with a list of its messages and a flag. Clocks of replicas differ by up to an hour."""

    @initialize()
    def create(self) -> None:
        """Begins without messages."""
        self.conversation = created()
        self.messages: list[ChatMessage] = []
        self.is_open = True
        self.changes = 0

    @precondition(lambda self: self.is_open)
    @rule(sender=st.sampled_from([ADA, EVE]), text=st.text(min_size=1), clock_s=st.integers(0, 3600))
    def post(self, sender: Actor, text: str, clock_s: int) -> None:
        """Adds a message."""
        now = NOW + timedelta(seconds=clock_s)
        self.conversation, message = self.conversation.post(sender, text, None, now)
        assert (message.sender, message.from_staff, message.text) == (sender.subject, sender.staff, text)
        assert message.create_time >= now
        self.messages.append(message)
        self.changes += 1

    @precondition(lambda self: not self.is_open)
    @rule()
    def post_when_closed(self) -> None:
        """Is refused."""
        with pytest.raises(FailedPrecondition):
            self.conversation.post(ADA, "Hello?", None, NOW)

    @rule(is_open=st.booleans(), clock_s=st.integers(0, 3600))
    def move(self, is_open: bool, clock_s: int) -> None:  # drawn by Hypothesis
        """Closes or reopens it, or does nothing."""
        state, now = State.OPEN if is_open else State.CLOSED, NOW + timedelta(seconds=clock_s)
        self.conversation = self.conversation.move_to(state, "", now)
        self.changes += is_open is not self.is_open
        self.is_open = is_open

    @rule(is_open=st.booleans())
    def move_what_has_changed(self, is_open: bool) -> None:  # drawn by Hypothesis
        """Is refused if there is something to change, and ignored otherwise."""
        state = State.OPEN if is_open else State.CLOSED
        if is_open is self.is_open:
            assert self.conversation.move_to(state, "stale", NOW) is self.conversation
        else:
            with pytest.raises(Aborted):
                self.conversation.move_to(state, "stale", NOW)

    @invariant()
    def agrees_with_the_model(self) -> None:
        """Numbers have no gaps, times never decrease, and the version counts the changes."""
        assert [message.number for message in self.messages] == list(range(1, len(self.messages) + 1))
        times = [NOW, *(message.create_time for message in self.messages), self.conversation.update_time]
        assert times == sorted(times)
        assert self.conversation.message_count == len(self.messages)
        assert (self.conversation.state is State.OPEN) is self.is_open
        assert self.conversation.etag == str(1 + self.changes)


TestConversing = Conversing.TestCase


def test_names_hold_the_identifiers() -> None:
    """A message is named by its conversation and its number."""
    _, message = created().post(ADA, "Hello", None, NOW)
    assert created().name == f"conversations/{UUID(int=7)}"
    assert message.name == f"conversations/{UUID(int=7)}/messages/1"


@pytest.mark.parametrize("subject", ["", " ", "two\nlines", "\0", "\u2028"])
def test_a_wrong_subject_is_refused(subject: str) -> None:
    """A subject must be one line that is not blank."""
    with pytest.raises(InvalidArgument) as caught:
        Conversation.create(uuid4(), ADA.subject, subject, NOW)
    assert [violation.field for violation in caught.value.violations] == ["conversation.subject"]


@pytest.mark.parametrize("text", ["", " \n\t", "bell\a", "nul\0", "\u2029"])
def test_a_wrong_text_is_refused(text: str) -> None:
    """The error names the field that the caller knows."""
    with pytest.raises(InvalidArgument) as caught:
        checked_text(text, "post.text")
    assert [violation.field for violation in caught.value.violations] == ["post.text"]


def test_a_text_may_have_lines() -> None:
    """Line breaks, tabs and any script are kept."""
    assert checked_text("Grüße 🌱\r\n\t你好", "post.text") == "Grüße 🌱\r\n\t你好"


def test_a_full_conversation_takes_no_messages() -> None:
    """The last message has the number of the limit."""
    almost_full = replace(created(), message_count=MESSAGES_MAX - 1)
    full, message = almost_full.post(ADA, "The last one", None, NOW)
    assert message.number == MESSAGES_MAX
    with pytest.raises(ResourceExhausted):
        full.post(ADA, "One too many", None, NOW)


def test_a_request_id_belongs_to_one_text() -> None:
    """The same text is a repetition, another one a mistake."""
    _, message = created().post(ADA, "Hello", UUID(int=1), NOW)
    assert repeated(message, "Hello") is message
    with pytest.raises(InvalidArgument):
        repeated(message, "Hello!")


def test_open_conversations_have_a_limit() -> None:
    """There is room below it, and none at it."""
    check_room(OPEN_CONVERSATIONS_MAX - 1)
    with pytest.raises(ResourceExhausted):
        check_room(OPEN_CONVERSATIONS_MAX)


def test_others_find_nothing() -> None:
    """Another customer gets the same error as for a conversation that does not exist."""
    conversation = created()
    assert visible_to(ADA, conversation) is visible_to(EVE, conversation) is conversation
    errors = []
    for actor, found in ((Actor("users/bob"), conversation), (ADA, None), (EVE, None)):
        with pytest.raises(NotFound) as caught:
            visible_to(actor, found)
        errors.append((caught.value.message, caught.value.reason))
    assert len(set(errors)) == 1


@pytest.mark.parametrize("name", ["", "conversations/", "conversations/7", f"others/{UUID(int=7)}"])
def test_a_name_that_no_conversation_can_have_is_not_found(name: str) -> None:
    """The same error as for one that does not exist."""
    with pytest.raises(NotFound):
        uid_of(name)
