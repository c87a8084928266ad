"""An event, as its handler sees it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from protobuf import Message

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Event(Generic[M]):
    """What happened: `type` to `aggregate` (a resource name such as "orders/7f3"), as `source`, a service, tells it."""

    id: str
    type: str
    source: str
    aggregate: str
    time: datetime
    data: M
