"""The envelope of an event: its data and attributes, in the broker and in the tables of outbox and inbox."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import asyncpg

from mesh.contract.events import publisher_of
from mesh.telemetry.correlation import bound, is_safe, safe_request_id
from mesh.telemetry.origin import Origin

ATTRIBUTE_LENGTH_MAX = 256


class UnauthenticEvent(Exception):
    """A message whose attributes name another type or source than its publisher is authorised for."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event in transit, by CloudEvents 1.0. The payload is a Protobuf message of the type named `type`.

    `aggregate` is the attribute `subject`. The trace of W3C Trace Context and the id of the request that caused the
    event are the extension attributes `traceparent` and `requestid`.
    """

    id: str
    type: str
    source: str
    aggregate: str
    time: datetime
    payload: bytes
    traceparent: str | None
    request_id: str | None = None

    def attributes(self) -> dict[str, str]:
        """Returns the CloudEvents attributes, which an adapter encodes by the protocol binding of its broker."""
        attributes = {
            "specversion": "1.0",
            "id": self.id,
            "type": self.type,
            "source": self.source,
            "subject": self.aggregate,
            "time": self.time.isoformat(),
            "datacontenttype": "application/protobuf",
        }
        optional = {"traceparent": self.traceparent, "requestid": self.request_id}
        return attributes | {name: value for name, value in optional.items() if value}

    @property
    def origin(self) -> Origin:
        """Returns what caused the event."""
        return Origin(self.request_id, self.traceparent)

    @contextmanager
    def correlated(self) -> Iterator[None]:
        """Adds the event's ids to the log lines written in this context. If no request caused the event, its own id is
        the request id.
        """
        request_id = safe_request_id(self.request_id or self.id)
        facts = {"event_id": self.id, "event_type": self.type, "aggregate": self.aggregate}
        with bound(request_id, self.origin.trace_headers, **facts):
            yield

    @classmethod
    def of_row(cls, row: asyncpg.Record) -> Self:
        """Returns the event in a row of the outbox or the inbox."""
        return cls(
            id=str(row["event_id"]),
            type=row["type"],
            source=row["source"],
            aggregate=row["aggregate"],
            time=row["time"],
            payload=row["payload"],
            traceparent=row["traceparent"],
            request_id=row["request_id"],
        )

    @classmethod
    def received(cls, attributes: Mapping[str, str], payload: bytes, *, message_id: str, event_type: str) -> Self:
        """Returns the event in a message. Raises UnauthenticEvent.

        The broker authorises only one publisher for an `event_type`, so that can be trusted. The attributes type and
        source must match it: NATS's own replies go to whatever subject a user names for them, even one that the user
        may not publish to, and they have no such attributes or those of another event. `message_id` replaces a missing
        id. Attributes are cut to a length that an index can hold, and zero bytes are removed, which PostgreSQL's text
        can't hold.
        """
        given = {name: _storable(value) for name, value in attributes.items()}
        claimed, source = given.get("type", ""), given.get("source", "")
        if (claimed, source) != (event_type, publisher_of(event_type)):
            raise UnauthenticEvent(
                f"message {message_id} on {event_type} claims the type {claimed!r} and the source {source!r}"
            )
        event_id = given.get("id") or _storable(message_id)
        return cls(
            id=event_id,
            type=event_type,
            source=source,
            aggregate=given.get("subject") or event_id,
            time=_time(given.get("time", "")),
            payload=payload,
            traceparent=given.get("traceparent"),
            request_id=request_id if is_safe(request_id := given.get("requestid", "")) else None,
        )


def _storable(text: str) -> str:
    return text.replace("\0", "")[:ATTRIBUTE_LENGTH_MAX]


def _time(text: str) -> datetime:
    """Parses an RFC 3339 time. Returns the current time if the text is not one."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.now(UTC)
