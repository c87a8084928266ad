"""The view of a stream on its conversation."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from uuid import UUID

from meshwright.support.v1.support_pb import ChatResponse

from mesh.resume import ResumePosition, read_resume_token
from services.support import storage
from services.support.domain import ChatMessage, Conversation, Participant, State
from services.support.messages import conversation_response, message_response, participant_response
from services.support.presence_storage import PARTICIPANTS_READ_MAX


class View:
    """The part of a conversation that the client of a stream has seen. `number` is that of the last message."""

    def __init__(self, start: ResumePosition) -> None:
        self._start = start
        [number] = start.after or (0,)
        assert isinstance(number, int), "by storage.MESSAGE_KEY_TYPES"
        self.number = number
        self._state: State | None = None
        self._shown: dict[str, Participant] = {}

    def show(
        self, conversation: Conversation, participants: Sequence[Participant], messages: Sequence[ChatMessage]
    ) -> Iterator[ChatResponse]:
        """Yields the new responses: messages in their order, then participants, then the state."""
        if self._state is None:
            yield self._show_state(conversation)
        for message in messages:
            self.number = message.number
            yield message_response(message, self._start.token(message.number))
        for participant in participants:
            shown = self._shown.get(participant.user)
            if shown is None or shown.connected is not participant.connected:
                self._shown[participant.user] = participant
                yield participant_response(participant)
        if len(participants) < PARTICIPANTS_READ_MAX:  # otherwise others may have taken their places
            yield from self._show_erased(participants)
        if self._state is not conversation.state:
            yield self._show_state(conversation)

    def _show_erased(self, participants: Sequence[Participant]) -> Iterator[ChatResponse]:
        """Yields that users have disconnected who are no participants any more, because their accounts were deleted."""
        for user in self._shown.keys() - {participant.user for participant in participants}:
            if (erased := self._shown.pop(user)).connected:
                yield participant_response(replace(erased, connected=False))

    def _show_state(self, conversation: Conversation) -> ChatResponse:
        self._state = conversation.state
        return conversation_response(conversation)


def resume_of(uid: UUID, token: str = "") -> ResumePosition:
    """Returns the position of a token among the messages of a conversation. Raises InvalidArgument as
    read_resume_token() does.
    """
    return read_resume_token(token, query=("conversation", str(uid)), key_types=storage.MESSAGE_KEY_TYPES)
