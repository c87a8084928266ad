"""Tokens by which a client that lost a stream goes on where it was: a field `resume_token` in responses and requests.

In server-sent events a token is the event's id, and the header Last-Event-ID brings it back. The text of an id can't
hold line feeds, and a token may be any bytes: it is percent-encoded.
"""

from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from protobuf import DescField, DescFieldValueScalar, DescMessage, Message, ScalarType

LAST_EVENT_ID: Final = b"last-event-id"

_NAME: Final = "resume_token"
_SAFE: Final = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"


class ResumeToken:
    """The field of one message type that holds the token."""

    def __init__(self, field: DescField, *, is_text: bool) -> None:
        self._field = field
        self._is_text = is_text

    @classmethod
    def of(cls, message: DescMessage) -> "ResumeToken | None":
        """The field of a type, None if it has none."""
        for field in message.fields:
            value = field.value
            if field.name != _NAME or not isinstance(value, DescFieldValueScalar) or value.oneof is not None:
                continue
            if value.scalar in (ScalarType.STRING, ScalarType.BYTES):
                return cls(field, is_text=value.scalar is ScalarType.STRING)
        return None

    def event_id(self, message: Message) -> str | None:
        """The id of a message's event, None if the message has no token."""
        token = message[self._field]
        if not token:
            return None
        return quote_from_bytes(token.encode() if self._is_text else token, safe=_SAFE)

    def fill(self, message: Message, event_id: bytes) -> None:
        """Puts the token of an event's id into a request, in the place of one that is there: a browser comes back with
        the URL it began with. Raises UnicodeDecodeError if the id can't be one of ours.
        """
        token = unquote_to_bytes(event_id)
        message[self._field] = token.decode() if self._is_text else token
