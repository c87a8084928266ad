"""Resume tokens: the field `resume_token`, with which a client resumes a stream after a lost connection.

In server-sent events the token is the event's id, which the client returns in the header Last-Event-ID. It is
percent-encoded, because a token may be any bytes and an event's id can't contain line feeds.
"""

from typing import Final
from urllib.parse import quote_from_bytes, unquote_to_bytes

from protobuf import DescField, DescFieldValueScalar, DescMessage, Message, ScalarType

LAST_EVENT_ID: Final = b"last-event-id"

_NAME: Final = "resume_token"
_SAFE: Final = "!#$&'()*+,-./:;<=>?@[]^_`{|}~"


class ResumeToken:
    """The resume token field of one message type."""

    def __init__(self, field: DescField, *, is_text: bool) -> None:
        self._field = field
        self._is_text = is_text

    @classmethod
    def of(cls, message: DescMessage) -> "ResumeToken | None":
        """Returns the resume token field of a message type, or None if it has none."""
        for field in message.fields:
            value = field.value
            if field.name != _NAME or not isinstance(value, DescFieldValueScalar) or value.oneof is not None:
                continue
            if value.scalar in (ScalarType.STRING, ScalarType.BYTES):
                return cls(field, is_text=value.scalar is ScalarType.STRING)
        return None

    def event_id(self, message: Message) -> str | None:
        """Returns the event id for a message, or None if its token is empty."""
        token = message[self._field]
        if not token:
            return None
        return quote_from_bytes(token.encode() if self._is_text else token, safe=_SAFE)

    def fill(self, message: Message, event_id: bytes) -> None:
        """Sets the token of a request from an event id. It replaces a token from the URL, because a browser reconnects
        with its original URL. Raises UnicodeDecodeError if the edge can't have sent the id.
        """
        token = unquote_to_bytes(event_id)
        message[self._field] = token.decode() if self._is_text else token
