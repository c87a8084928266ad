"""An event as it travels, and as it is stored on its way."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

import asyncpg

from mesh.contract.events import publisher_of
from mesh.telemetry.correlation import bound, is_safe, safe_request_id

ATTRIBUTE_LENGTH_MAX = 256


class UnauthenticEvent(Exception):
    """A message whose attributes name another type or source than the broker let its author publish."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event on its way: CloudEvents 1.0, the payload a protobuf message of the type named `type`.

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
        """Returns the attributes of CloudEvents, which an adapter writes as its broker's protocol binding has them."""
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
    def received(cls, attributes: Mapping[str, str], payload: bytes, *, message_id: str, event_type: str) -> Self:
        """Returns the event that a message carries. Raises UnauthenticEvent.

        The broker lets only its publisher use an `event_type`, so that is what can be trusted. Type and source have to
        agree with it: NATS itself writes elsewhere than it lets its users, to whatever subject a user gives for the
        reply, and that carries no such attributes or those of another event. `message_id`, the broker's name for the
        message, stands for an id that is missing. Attributes are shortened to what an index takes, and lose the zero
        bytes that no text of PostgreSQL may hold.
        """
        given = {name: value.replace("\0", "")[:ATTRIBUTE_LENGTH_MAX] for name, value in attributes.items()}
        claimed, source = given.get("type", ""), given.get("source", "")
        if (claimed, source) != (event_type, publisher_of(event_type)):
            raise UnauthenticEvent(f"{message_id} at {event_type} says that it is {claimed!r} of {source!r}")
        event_id = given.get("id") or message_id
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


def _time(text: str) -> datetime:
    """Returns an RFC 3339 time; now, if it is none."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.now(UTC)
