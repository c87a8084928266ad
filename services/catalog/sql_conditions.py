"""Conditions and orders in SQL. Statements hold only placeholders, never values."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

from mesh.position import Key
from services.catalog.filter import FIELDS, AllOf, AnyOf, Comparison, Expression, InCategories, Kind, Not
from services.catalog.order_by import SortKey

Argument: TypeAlias = str | int | datetime | UUID | list[str]

TRIGRAM_LENGTH = 3  # shorter texts have no trigrams, so the index can't find them


class Arguments:
    """The values of a statement, in the order of their placeholders."""

    def __init__(self) -> None:
        self.values: list[Argument] = []

    def add(self, value: Argument) -> str:
        """Adds a value and returns its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"


_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "title": "title",
        "category": "category",
        "price": "price_hundredths",
        "price.currency_code": "currency",
        "create_time": "create_time",
        "update_time": "update_time",
    }
)
_TYPES: Mapping[Kind, str] = MappingProxyType({Kind.TEXT: "text", Kind.NUMBER: "bigint", Kind.TIME: "timestamptz"})


def matching(expression: Expression, arguments: Arguments) -> str:
    """Returns the condition for a filter."""
    match expression:
        case Comparison():
            return _comparison(expression, arguments)
        case AllOf(parts):
            return _joined(" AND ", parts, arguments) if parts else "true"
        case AnyOf(parts):
            return _joined(" OR ", parts, arguments)
        case Not(part):
            return f"NOT ({matching(part, arguments)})"
        case InCategories(categories):
            these = f"ANY({arguments.add(list(categories))}::text[])"
            also = f"EXISTS (SELECT FROM unnest(additional_categories) AS also WHERE also = {these})"
            return f"(category = {these} OR {also})"


def _joined(operator: str, parts: Sequence[Expression], arguments: Arguments) -> str:
    return f"({operator.join(matching(part, arguments) for part in parts)})"


def _comparison(comparison: Comparison, arguments: Arguments) -> str:
    column = _COLUMNS[comparison.field]
    if comparison.comparator == ":":
        return f"strpos(lower({column}), lower({_placeholder(comparison, arguments)})) > 0"
    if isinstance(comparison.value, Decimal) and comparison.comparator in ("=", "!=") and _has_fraction(comparison):
        return "true" if comparison.comparator == "!=" else "false"
    return f"{column} {comparison.comparator} {_placeholder(comparison, arguments)}"


def _placeholder(comparison: Comparison, arguments: Arguments) -> str:
    return f"{arguments.add(_stored(comparison))}::{_TYPES[FIELDS[comparison.field]]}"


def _stored(comparison: Comparison) -> Argument:
    """Returns the value in the unit of its column. The only numbers are prices, which are stored in hundredths; a price
    is rounded to whole hundredths, which an index can compare, in the direction that keeps the comparison's result.
    """
    value = comparison.value
    if not isinstance(value, Decimal):
        return value
    return (math.floor if comparison.comparator in (">", "<=") else math.ceil)(value.scaleb(2))


def _has_fraction(comparison: Comparison) -> bool:
    """Returns whether a price has a fraction of a hundredth, which no product's price has."""
    return isinstance(comparison.value, Decimal) and comparison.value.scaleb(2) % 1 != 0


@dataclass(frozen=True, slots=True)
class SortColumn:
    """A column to sort by, and the type of its values in a page token."""

    name: str
    key_type: type[Key]


@dataclass(frozen=True, slots=True)
class IndexScan:
    """A scan of the products in the order of an index. The last column is the uid, which makes the order total.

    `category` restricts the scan to the products of one category, None to all. If set, it is also the first column, so
    that an index on category and another field provides the order by that field.
    """

    columns: tuple[SortColumn, ...]
    descending: bool
    category: str | None = None

    @classmethod
    def of(cls, order: Sequence[SortKey], expression: Expression) -> "IndexScan":
        """Returns the scan for a list with this order and filter."""
        fields = [key.field for key in order]
        category = next((each.value for each in _conjuncts(expression) if _names_category(each)), None)
        if isinstance(category, str) and fields[0] != "category":
            fields.insert(0, "category")
        columns = (*(SortColumn(_COLUMNS[field], _KEY_TYPES[field]) for field in fields), SortColumn("uid", UUID))
        return cls(columns, order[-1].descending, category if isinstance(category, str) else None)

    def ordering(self) -> str:
        """Returns the expression for ORDER BY."""
        return ", ".join(f"{column.name} {'DESC' if self.descending else 'ASC'}" for column in self.columns)

    def after(self, key: Sequence[Key], arguments: Arguments) -> str:
        """Returns the condition for the rows after the one with this key."""
        placeholders = ", ".join(arguments.add(part) for part in key)
        return f"({', '.join(column.name for column in self.columns)}) {self._forward} ({placeholders})"

    def bounds(self, expression: Expression, arguments: Arguments, *, end_only: bool) -> list[str]:
        """Returns the conditions that bound the rows which the filter can match: for the end of the scan, and unless
        `end_only` for its beginning.
        """
        pinned = [] if self.category is None else [("category", self.category)]
        field = self.columns[len(pinned)].name
        limits = [each for each in _conjuncts(expression) if _COLUMNS[each.field] == field]
        found: list[str] = []
        if not end_only:
            begins = [each for each in limits if each.comparator in (self._forward, f"{self._forward}=", "=")][:1]
            found += [self._bound(pinned, each, self._forward, arguments) for each in begins]
            if pinned and not begins:
                found.append(f"category {self._forward}= {arguments.add(pinned[0][1])}")
        ends = [each for each in limits if each.comparator in (self._backward, f"{self._backward}=", "=")]
        found += [self._bound(pinned, each, self._backward, arguments) for each in ends]
        return found + [f"category {self._backward}= {arguments.add(value)}" for _, value in pinned]

    def _bound(
        self, pinned: Sequence[tuple[str, str]], comparison: Comparison, direction: str, arguments: Arguments
    ) -> str:
        comparator = f"{direction}=" if comparison.comparator == "=" else comparison.comparator
        column = _COLUMNS[comparison.field]
        if not pinned:
            return f"{column} {comparator} {_placeholder(comparison, arguments)}"
        before = arguments.add(pinned[0][1])
        return f"(category, {column}) {comparator} ({before}, {_placeholder(comparison, arguments)})"

    @property
    def _forward(self) -> str:
        return "<" if self.descending else ">"

    @property
    def _backward(self) -> str:
        return ">" if self.descending else "<"


_KEY_TYPES: Mapping[str, type[Key]] = MappingProxyType(
    {"title": str, "category": str, "price": int, "create_time": datetime, "update_time": datetime}
)


def _conjuncts(expression: Expression) -> Iterator[Comparison]:
    """Yields the comparisons that are true for every product that the filter matches."""
    parts = expression.parts if isinstance(expression, AllOf) else (expression,)
    for part in parts:
        if isinstance(part, AllOf):
            yield from _conjuncts(part)
        elif isinstance(part, Comparison):
            yield part


def _names_category(comparison: Comparison) -> bool:
    return comparison.field == "category" and comparison.comparator == "="


def indexed_part(expression: Expression) -> Expression | None:
    """Returns the part of a filter that an index can evaluate and that is likely to match the fewest rows; None if
    there is none. The part matches every product that the filter matches.
    """
    if not _selectivity(expression):
        return None
    match expression:
        case AllOf(parts):
            return indexed_part(max(parts, key=_selectivity))
        case AnyOf(parts):
            return AnyOf(tuple(found for part in parts if (found := indexed_part(part)) is not None))
    return expression


def _selectivity(expression: Expression) -> int:
    """Estimates how selective an index is for an expression: more is better, 0 means that no index helps."""
    match expression:
        case Comparison("title", ":", str(value)) if len(value) >= TRIGRAM_LENGTH:
            return len(value)
        case Comparison("title" | "create_time" | "update_time", "="):
            return 1000
        case Comparison("price", "=") if not _has_fraction(expression):
            return 2
        case InCategories():
            return 2
        case AllOf(parts):
            return max(map(_selectivity, parts), default=0)
        case AnyOf(parts):
            return min(map(_selectivity, parts))
    return 0


def found_by_index(part: Expression, arguments: Arguments) -> str:
    """Returns the condition by which the indexes find the rows of an indexed_part(). It may match more rows."""
    match part:
        case AnyOf(parts):
            return " OR ".join(found_by_index(each, arguments) for each in parts)
        case Comparison(comparator=":"):
            return f"trigrams(title) @> sought_trigrams({_placeholder(part, arguments)})"
        case InCategories(categories):
            these = arguments.add(list(categories))
            return f"array_prepend(category, additional_categories) && {these}::text[]"
    return matching(part, arguments)
