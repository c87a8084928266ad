"""Conversations, messages and participants as messages of the contract, and what streams say about them."""

from typing import Literal

from googleapis.google.rpc.status_pb import Status
from meshwright.support.v1.support_pb import ChatMessage as ChatMessageMessage
from meshwright.support.v1.support_pb import ChatResponse, PostResult
from meshwright.support.v1.support_pb import Conversation as ConversationMessage
from meshwright.support.v1.support_pb import Participant as ParticipantMessage
from protobuf import Oneof
from protobuf.wkt import Timestamp

from mesh.errors import MeshError
from mesh.rpc.status import to_status
from services.support.domain import ChatMessage, Conversation, Participant


def conversation_message(conversation: Conversation) -> ConversationMessage:
    """Returns the message of a conversation."""
    return ConversationMessage(
        name=conversation.name,
        uid=str(conversation.uid),
        customer=conversation.customer,
        subject=conversation.subject,
        state=ConversationMessage.State[conversation.state.name],
        message_count=conversation.message_count,
        create_time=Timestamp.from_datetime(conversation.create_time),
        update_time=Timestamp.from_datetime(conversation.update_time),
        etag=conversation.etag,
    )


def chat_message(message: ChatMessage) -> ChatMessageMessage:
    """Returns the message of a message in a conversation."""
    return ChatMessageMessage(
        name=message.name,
        sender=message.sender,
        from_staff=message.from_staff,
        text=message.text,
        create_time=Timestamp.from_datetime(message.create_time),
        request_id="" if message.request_id is None else str(message.request_id),
    )


def participant_message(participant: Participant) -> ParticipantMessage:
    """Returns the message of a participant."""
    last_seen = None if participant.connected else Timestamp.from_datetime(participant.last_seen_time)
    return ParticipantMessage(
        name=participant.name,
        user=participant.user,
        staff=participant.staff,
        connected=participant.connected,
        last_seen_time=last_seen,
    )


def message_response(message: ChatMessage, resume_token: str) -> ChatResponse:
    """Returns the response of a stream with a message."""
    event: Oneof[Literal["message"], ChatMessageMessage] = Oneof("message", chat_message(message))
    return ChatResponse(event=event, resume_token=resume_token)


def participant_response(participant: Participant) -> ChatResponse:
    """Returns the response of a stream with a participant."""
    event: Oneof[Literal["participant"], ParticipantMessage] = Oneof("participant", participant_message(participant))
    return ChatResponse(event=event)


def conversation_response(conversation: Conversation) -> ChatResponse:
    """Returns the response of a stream with its conversation."""
    event: Oneof[Literal["conversation"], ConversationMessage] = Oneof(
        "conversation", conversation_message(conversation)
    )
    return ChatResponse(event=event)


def posted_response(request_id: str, message: ChatMessage) -> ChatResponse:
    """Returns the response of a stream to a post that was made."""
    result: Oneof[Literal["message"], str] = Oneof("message", message.name)
    return _result_response(PostResult(request_id=request_id, result=result))


def rejected_response(request_id: str, error: MeshError) -> ChatResponse:
    """Returns the response of a stream to a post that failed."""
    result: Oneof[Literal["error"], Status] = Oneof("error", to_status(error))
    return _result_response(PostResult(request_id=request_id, result=result))


def _result_response(result: PostResult) -> ChatResponse:
    event: Oneof[Literal["post_result"], PostResult] = Oneof("post_result", result)
    return ChatResponse(event=event)
