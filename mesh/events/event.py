"""An event as its handler receives it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from protobuf import Message

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Event(Generic[M]):
    """An event of the type `type` about `aggregate`, a resource name such as "orders/7f3". `source` is the service that
    published it.
    """

    id: str
    type: str
    source: str
    aggregate: str
    time: datetime
    data: M
