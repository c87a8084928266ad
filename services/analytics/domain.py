"""The rules of metrics: what counts in which of them, in which intervals, and what a query may ask."""

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from mesh.errors import FieldViolation, invalid_fields
from mesh.money import Money

INTERVALS_DEFAULT: Final = 60
TOP_DEFAULT: Final = 10
POINTS_MAX: Final = 20_000
"""The most points of a response: its intervals times its groups."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Dimension(enum.StrEnum):
    """A way to split a metric into groups."""

    TOTAL = "total"
    PRODUCT = "product"
    PAGE = "page"
    VARIANT = "variant"


class Metric(enum.StrEnum):
    """A thing that is counted: a step of a sale, or a type of event."""

    ORDERS_PLACED = "orders_placed"
    ORDERS_CANCELLED = "orders_cancelled"
    ORDERS_CONFIRMED = "orders_confirmed"
    ORDERS_SHIPPED = "orders_shipped"
    PAYMENTS_CAPTURED = "payments_captured"
    PAYMENTS_REFUNDED = "payments_refunded"
    PAGE_VIEWS = "page_views"
    PRODUCT_VIEWS = "product_views"
    CART_ADDITIONS = "cart_additions"
    EXPOSURES = "exposures"
    CONVERSIONS = "conversions"

    @property
    def dimensions(self) -> frozenset[Dimension]:
        """Returns the dimensions that the metric is counted by."""
        return _DIMENSIONS[self]


_OF_SALES: Final = frozenset({Dimension.TOTAL, Dimension.PRODUCT})
_OF_CLIENT_EVENTS: Final = frozenset(Dimension)
_DIMENSIONS: Final = {
    Metric.ORDERS_PLACED: _OF_SALES,
    Metric.ORDERS_CANCELLED: _OF_SALES,
    Metric.ORDERS_CONFIRMED: _OF_SALES,
    Metric.ORDERS_SHIPPED: _OF_SALES,
    Metric.PAYMENTS_CAPTURED: frozenset({Dimension.TOTAL}),
    Metric.PAYMENTS_REFUNDED: frozenset({Dimension.TOTAL}),
    Metric.PAGE_VIEWS: _OF_CLIENT_EVENTS,
    Metric.PRODUCT_VIEWS: _OF_CLIENT_EVENTS,
    Metric.CART_ADDITIONS: _OF_CLIENT_EVENTS,
    Metric.EXPOSURES: _OF_CLIENT_EVENTS,
    Metric.CONVERSIONS: _OF_CLIENT_EVENTS,
}


class Interval(enum.StrEnum):
    """The length of an interval of a series. Days are those of UTC."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def length(self) -> timedelta:
        """Returns the length."""
        return _LENGTHS[self]

    @property
    def kept_for(self) -> timedelta:
        """Returns how long roll-ups of this interval are kept."""
        return _KEPT_FOR[self]

    @property
    def count_max(self) -> int:
        """Returns the most intervals of one query."""
        return _COUNTS_MAX[self]

    def floor(self, time: datetime) -> datetime:
        """Returns the beginning of the interval that contains a time."""
        return time - (time - _EPOCH) % self.length


_LENGTHS: Final = {
    Interval.MINUTE: timedelta(minutes=1),
    Interval.HOUR: timedelta(hours=1),
    Interval.DAY: timedelta(days=1),
}
_KEPT_FOR: Final = {
    Interval.MINUTE: timedelta(days=8),
    Interval.HOUR: timedelta(days=100),
    Interval.DAY: timedelta(days=731),
}
_COUNTS_MAX: Final = {Interval.MINUTE: 1440, Interval.HOUR: 744, Interval.DAY: 731}


class Measure(enum.StrEnum):
    """A measure of a metric. The values are the names of columns."""

    COUNT = "count"
    UNITS = "units"
    AMOUNT = "hundredths"


@dataclass(frozen=True, slots=True)
class Measures:
    """The measures of a metric; the amount is in hundredths of a currency."""

    count: int
    units: int
    hundredths: int


@dataclass(frozen=True, slots=True)
class SaleStep:
    """A step of a sale: what happened to an order, and when. `units` counts those of all products."""

    metric: Metric
    order: str
    units: int
    amount: Money
    time: datetime


@dataclass(frozen=True, slots=True)
class SaleLine:
    """A product of a sale."""

    product: str
    units: int
    amount: Money


@dataclass(frozen=True, slots=True)
class Tally:
    """The contribution of a fact to one group of a metric."""

    metric: Metric
    dimension: Dimension
    group: str
    currency: str
    time: datetime
    measures: Measures


def tallies(step: SaleStep, lines: Sequence[SaleLine]) -> Iterator[Tally]:
    """Yields what a step of a sale adds to its metric: in total, and for each product."""
    total = Measures(1, step.units, step.amount.hundredths)
    yield Tally(step.metric, Dimension.TOTAL, "", step.amount.currency, step.time, total)
    for line in lines:
        measures = Measures(1, line.units, line.amount.hundredths)
        yield Tally(step.metric, Dimension.PRODUCT, line.product, line.amount.currency, step.time, measures)


def variant_tallies(metric: Metric, experiment: str, variant: str, time: datetime) -> Iterator[Tally]:
    """Yields what an exposure or a conversion adds to its metric: in total, and for the variant."""
    one = Measures(1, 0, 0)
    yield Tally(metric, Dimension.TOTAL, "", "", time, one)
    yield Tally(metric, Dimension.VARIANT, group_key(experiment, variant), "", time, one)


@dataclass(frozen=True, slots=True)
class Period:
    """Whole intervals from `start` to before `end`."""

    interval: Interval
    start: datetime
    end: datetime

    @property
    def count(self) -> int:
        """Returns the number of intervals."""
        return (self.end - self.start) // self.interval.length

    @classmethod
    def covering(cls, interval: Interval, start: datetime | None, end: datetime | None, now: datetime) -> Self:
        """Returns the intervals that cover a period. Without an end it ends now, without a start it has the last
        INTERVALS_DEFAULT intervals before its end. Raises InvalidArgument if these are not in the years 1 to 9999.
        """
        try:
            end_floor = interval.floor(end or now)
            end_ceiling = end_floor if end == end_floor else end_floor + interval.length
            first = interval.floor(start) if start else end_ceiling - INTERVALS_DEFAULT * interval.length
        except OverflowError:
            description = "makes a period with intervals outside of the years 1 to 9999"
            raise invalid_fields([FieldViolation("end_time", description, "PERIOD_INVALID")]) from None
        return cls(interval, first, end_ceiling)

    def violations(self) -> Iterator[FieldViolation]:
        """Yields the violations in the period of a query."""
        if self.start >= self.end:
            yield FieldViolation("end_time", "must be after start_time", "PERIOD_INVALID")
        elif self.count > self.interval.count_max:
            yield FieldViolation(
                "start_time",
                f"makes a period of {self.count} {self.interval}s; at most {self.interval.count_max} are allowed",
                "PERIOD_TOO_LONG",
            )


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a metric. `groups` are the wanted ones; if there are none, the `top` greatest ones by `order_by`."""

    metric: Metric
    period: Period
    dimension: Dimension
    groups: tuple[str, ...]
    experiment: str
    order_by: Measure
    top: int
    currency: str

    def checked(self) -> Self:
        """Returns the query if it is valid. Raises InvalidArgument with every violation."""
        if violations := [*self.period.violations(), *self._violations()]:
            raise invalid_fields(violations)
        return self

    def _violations(self) -> Iterator[FieldViolation]:
        if self.dimension not in self.metric.dimensions:
            possible = sorted(self.metric.dimensions - {Dimension.TOTAL})
            description = f"{self.metric} are counted by {' and '.join(possible) or 'nothing'}, not by {self.dimension}"
            yield FieldViolation("group_by", description, "DIMENSION_UNKNOWN")
        if self.dimension is Dimension.TOTAL and self.groups:
            yield FieldViolation("groups", "must be empty without group_by", "GROUPS_WITHOUT_DIMENSION")
        if (self.dimension is Dimension.VARIANT) != bool(self.experiment):
            yield FieldViolation(
                "experiment", "must be given for DIMENSION_VARIANT, and only then", "EXPERIMENT_NEEDED"
            )
        if self.order_by is Measure.AMOUNT and not self.currency:
            yield FieldViolation("currency_code", "must be given to order by amount", "CURRENCY_NEEDED")
        if self.period.count * self.groups_max > POINTS_MAX:
            yield FieldViolation(
                "top",
                f"{self.period.count} intervals of {self.groups_max} groups are more than {POINTS_MAX} points",
                "TOO_MANY_POINTS",
            )

    @property
    def groups_max(self) -> int:
        """Returns the most groups in the response, each of which has a series for each of its currencies."""
        return 1 if self.dimension is Dimension.TOTAL else len(self.groups) or self.top

    @property
    def keys(self) -> tuple[str, ...]:
        """Returns the keys of the wanted groups."""
        return tuple(group_key(self.experiment, group) for group in self.groups)

    @property
    def key_prefix(self) -> str:
        """Returns the beginning of the keys of all groups."""
        return group_key(self.experiment, "")

    def group(self, key: str) -> str:
        """Returns the group of a key."""
        return key.removeprefix(self.key_prefix)


def group_key(experiment: str, group: str) -> str:
    """Returns the key by which a group is stored. Variants are told apart by their experiments."""
    return f"{experiment}/{group}" if experiment else group


@dataclass(frozen=True, slots=True)
class Point:
    """A metric in one interval."""

    start: datetime
    measures: Measures


@dataclass(frozen=True, slots=True)
class Series:
    """A metric of a group over time. The currency is empty for events without amounts."""

    group: str
    currency: str
    points: Sequence[Point]

    @property
    def total(self) -> Measures:
        """Returns the sum of the points."""
        measures = [point.measures for point in self.points]
        return Measures(
            sum(each.count for each in measures),
            sum(each.units for each in measures),
            sum(each.hundredths for each in measures),
        )


def checked_series(series: Sequence[Series]) -> Sequence[Series]:
    """Returns the series of a query. Raises InvalidArgument if they have too many points, which groups with several
    currencies may have.
    """
    if sum(len(each.points) for each in series) > POINTS_MAX:
        description = f"must be given, because the groups have more than {POINTS_MAX} points in all currencies"
        raise invalid_fields([FieldViolation("currency_code", description, "TOO_MANY_POINTS")])
    return series
