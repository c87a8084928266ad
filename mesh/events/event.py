"""An event, as its handler sees it and as it travels."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Self, TypeVar

import asyncpg
from protobuf import Message

from mesh.events.contract import publisher_of
from mesh.telemetry.correlation import bound, is_safe, safe_request_id

M = TypeVar("M", bound=Message)

HEADER_LENGTH_MAX = 256


class UnauthenticEvent(Exception):
    """A message whose headers name another event or another source than the subject that it came by."""


@dataclass(frozen=True, slots=True)
class Event(Generic[M]):
    """What happened: `type` to `aggregate` (a resource name such as "orders/7f3"), as `source`, a service, tells it."""

    id: str
    type: str
    source: str
    aggregate: str
    time: datetime
    data: M


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event on its way: CloudEvents 1.0 in binary mode, the payload a protobuf message of the type named `type`.

    `aggregate` is the CloudEvents attribute `subject`. The trace travels as the header of W3C Trace Context, the id of
    the request that caused the event as the extension attribute `requestid`.
    """

    id: str
    type: str
    source: str
    aggregate: str
    time: datetime
    payload: bytes
    traceparent: str | None
    request_id: str | None = None

    def headers(self) -> dict[str, str]:
        """The headers of the message that carries it, by the NATS protocol binding of CloudEvents."""
        headers = {
            "ce-specversion": "1.0",
            "ce-id": self.id,
            "ce-type": self.type,
            "ce-source": self.source,
            "ce-subject": self.aggregate,
            "ce-time": self.time.isoformat(),
            "content-type": "application/protobuf",
        }
        optional = {"traceparent": self.traceparent, "ce-requestid": self.request_id}
        return headers | {name: value for name, value in optional.items() if value}

    @contextmanager
    def correlated(self) -> Iterator[None]:
        """While this is entered, lines of the log carry the event's ids. One that no request caused is its own."""
        trace = {"traceparent": self.traceparent} if self.traceparent else {}
        request_id = safe_request_id(self.request_id or self.id)
        with bound(request_id, trace, event_id=self.id, event_type=self.type, aggregate=self.aggregate):
            yield

    @classmethod
    def of_row(cls, row: asyncpg.Record) -> Self:
        """The event that a row of the outbox or the inbox holds."""
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
    def received(cls, headers: Mapping[str, str], payload: bytes, *, message_id: str, subject: str) -> Self:
        """Returns the event that a message carries. Raises UnauthenticEvent.

        The broker lets only its publisher use a subject, so the subject is what can be trusted. Type and source have
        to agree with it: the broker itself writes elsewhere than it lets its users, to whatever subject a user gives
        for the reply, and that carries no such headers or those of another event. `message_id`, the broker's name for
        the message, stands for an id that is missing. Headers are shortened to what an index takes, and lose the zero
        bytes that no text of PostgreSQL may hold.
        """
        given = {name.lower(): value.replace("\0", "")[:HEADER_LENGTH_MAX] for name, value in headers.items()}
        event_type, source = given.get("ce-type", ""), given.get("ce-source", "")
        if (event_type, source) != (subject, publisher_of(subject)):
            raise UnauthenticEvent(f"{message_id} at {subject} says that it is {event_type!r} of {source!r}")
        event_id = given.get("ce-id") or message_id
        return cls(
            id=event_id,
            type=event_type,
            source=source,
            aggregate=given.get("ce-subject") or event_id,
            time=_time(given.get("ce-time", "")),
            payload=payload,
            traceparent=given.get("traceparent"),
            request_id=request_id if is_safe(request_id := given.get("ce-requestid", "")) else None,
        )


def _time(text: str) -> datetime:
    """An RFC 3339 time; now, when it is none."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.now(UTC)
