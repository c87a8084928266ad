"""The rules of events that clients report. It stands alone as the domain does: it knows no message and no driver."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from services.analytics.domain import Metric

AGE_MAX: Final = timedelta(days=7)
"""Events are remembered for longer, so that none is counted twice."""

AHEAD_MAX: Final = timedelta(minutes=5)
"""How far the clock of a client may be ahead."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_PRODUCT: Final = re.compile(r"products/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_PAGE: Final = re.compile(r"/[!-\"$->@-~]{0,199}").fullmatch
_LABEL: Final = re.compile(r"[a-z0-9-]{1,40}").fullmatch

REASONS: Final = {
    "EVENT_ID_INVALID": "event_id must be a UUID",
    "EVENT_TYPE_MISSING": "type must be given, as one of those that the contract defines",
    "EVENT_TIME_MISSING": "event_time must be given",
    "EVENT_TIME_OUT_OF_RANGE": "event_time must be in the past 7 days, or at most 5 minutes ahead",
    "PRODUCT_INVALID": 'product must have the form "products/{uid}"',
    "PRODUCT_MISSING": "product must be given for this type",
    "PAGE_INVALID": 'page must be "/" and up to 199 visible ASCII characters without "?" and "#"',
    "PAGE_MISSING": "page must be given for this type",
    "EXPERIMENT_INVALID": "experiment and variant must be 1 to 40 lower-case letters, digits and hyphens",
    "EXPERIMENT_MISSING": "experiment and variant must be given for this type, and only together",
}
"""Why events are rejected, with a description of each reason."""


class ClientEvent(NamedTuple):
    """An event as it is stored: the order of its fields is that of the columns."""

    event_id: str
    metric: str
    event_time: datetime
    person: int | None
    product: str | None
    page: str | None
    experiment: str | None
    variant: str | None


def problem_of(event: ClientEvent, now: datetime) -> str | None:
    """Returns the reason why an event whose type and time are given is not valid, None if it is."""
    if not _UUID(event.event_id):
        return "EVENT_ID_INVALID"
    if not now - AGE_MAX <= event.event_time <= now + AHEAD_MAX:
        return "EVENT_TIME_OUT_OF_RANGE"
    if event.product is not None and not _PRODUCT(event.product):
        return "PRODUCT_INVALID"
    if event.page is not None and not _PAGE(event.page):
        return "PAGE_INVALID"
    if any(label is not None and not _LABEL(label) for label in (event.experiment, event.variant)):
        return "EXPERIMENT_INVALID"
    return _missing(event)


def _missing(event: ClientEvent) -> str | None:
    match event.metric:
        case Metric.PAGE_VIEWS if event.page is None:
            return "PAGE_MISSING"
        case Metric.PRODUCT_VIEWS | Metric.CART_ADDITIONS if event.product is None:
            return "PRODUCT_MISSING"
        case Metric.EXPOSURES | Metric.CONVERSIONS if event.experiment is None:
            return "EXPERIMENT_MISSING"
    return "EXPERIMENT_MISSING" if (event.experiment is None) != (event.variant is None) else None


@dataclass(slots=True)
class Rejected:
    """The events that were rejected for one reason."""

    first_index: int
    count: int = 0


class Rejections:
    """The events that were rejected, by reason."""

    def __init__(self) -> None:
        self._by_reason: dict[str, Rejected] = {}

    def add(self, reason: str, index: int) -> None:
        """Counts an event, the one at this position among all of the call."""
        self._by_reason.setdefault(reason, Rejected(index)).count += 1

    @property
    def count(self) -> int:
        """Returns the number of events."""
        return sum(each.count for each in self._by_reason.values())

    def __iter__(self) -> Iterator[tuple[str, Rejected]]:
        return iter(self._by_reason.items())
