"""The responses of a stream, compared with what its client must know."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from meshwright.support.v1.support_pb import ChatMessage as ChatMessageMessage
from meshwright.support.v1.support_pb import Conversation as ConversationMessage
from meshwright.support.v1.support_pb import Participant as ParticipantMessage

from services.support.domain import Actor, ChatMessage, Conversation, Participant, State
from services.support.presence_storage import PARTICIPANTS_READ_MAX
from services.support.storage import READ_MAX
from services.support.view import View, resume_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UID = UUID(int=7)
USERS = ("users/ada", "users/eve")


class Viewing(RuleBasedStateMachine):
    """A conversation, and a client whose stream is read, and broken and resumed, at any moment."""

    @initialize()
    def open(self) -> None:
        """Begins an empty conversation, and the client's first stream."""
        self.conversation = Conversation.create(UID, USERS[0], "A blunt saw", NOW)
        self.messages: list[ChatMessage] = []
        self.connected: dict[str, bool] = {}
        self.view = View(resume_of(UID))
        self.received: list[str] = []
        self.token = ""
        self.seen: dict[str, bool] = {}
        self.state: ConversationMessage.State | None = None

    @rule(count=st.integers(1, READ_MAX + 3))
    def post(self, count: int) -> None:
        """Posts messages, if the conversation is open."""
        for _ in range(count if self.conversation.state is State.OPEN else 0):
            text = f"Text {len(self.messages)}"
            self.conversation, message = self.conversation.post(Actor(USERS[0]), text, None, NOW)
            self.messages.append(message)

    @rule(user=st.sampled_from(USERS), connected=st.booleans())
    def connect(self, user: str, connected: bool) -> None:  # drawn by Hypothesis
        """Lets a user come or go."""
        self.connected[user] = connected

    @rule(user=st.sampled_from(USERS))
    def erase(self, user: str) -> None:
        """Deletes the account of a user, who may be connected."""
        self.connected.pop(user, None)

    @rule(state=st.sampled_from(State))
    def move(self, state: State) -> None:
        """Closes or reopens the conversation."""
        self.conversation = self.conversation.move_to(state, "", NOW)

    @rule(read=st.integers(0, READ_MAX))
    def read(self, read: int) -> None:
        """Reads the new responses. The stream breaks if the client receives only some of them."""
        participants = [Participant(UID, user, False, is_there, NOW) for user, is_there in self.connected.items()]
        after = [message for message in self.messages if message.number > self.view.number][:READ_MAX]
        responses = list(self.view.show(self.conversation, participants, after))
        for response in responses[:read]:
            assert response.event is not None
            match response.event.value:
                case ChatMessageMessage() as message:
                    self.received.append(message.text)
                    self.token = response.resume_token
                case ParticipantMessage() as participant:
                    self.seen[participant.user] = participant.connected
                case ConversationMessage() as conversation:
                    self.state = conversation.state
        if len(responses) > read:
            self.view = View(resume_of(UID, self.token))
            self.seen.clear()  # a stream begins with all participants

    @rule()
    def read_to_the_end(self) -> None:
        """Reads until nothing is new: the client then knows everything."""
        for _ in range(len(self.messages) // READ_MAX + 1):
            self.read(READ_MAX + len(USERS) + 2)
        assert len(self.received) == len(self.messages)
        assert self.seen == {**dict.fromkeys(self.seen, False), **self.connected}
        assert self.state is not None
        assert self.state.name == self.conversation.state.name

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        """The client has received the first messages, each once, in their order."""
        assert self.received == [message.text for message in self.messages[: len(self.received)]]


TestViewing = Viewing.TestCase


def test_users_beyond_those_that_are_read_have_not_disconnected() -> None:
    """One who joins a full conversation, and is read in the place of another one, changes nothing about that one."""
    conversation, view = Conversation.create(UID, USERS[0], "A blunt saw", NOW), View(resume_of(UID))
    participants = [Participant(UID, f"users/{n:03}", True, True, NOW) for n in range(PARTICIPANTS_READ_MAX + 1)]
    assert len(list(view.show(conversation, participants[1:], ()))) == 1 + PARTICIPANTS_READ_MAX
    [response] = view.show(conversation, participants[:-1], ())
    assert response.event is not None
    assert isinstance(response.event.value, ParticipantMessage)
    assert (response.event.value.user, response.event.value.connected) == ("users/000", True)
