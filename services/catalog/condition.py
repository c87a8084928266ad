"""Conditions and orders in SQL. Values never stand in the text of a statement, only their placeholders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias
from uuid import UUID

from mesh.pagination import Key
from services.catalog.filter import FIELDS, AllOf, AnyOf, Comparison, Expression, Kind, Not, Value
from services.catalog.order_by import SortKey

Argument: TypeAlias = str | int | Decimal | datetime | UUID


class Arguments:
    """The values of a statement, in the order of their placeholders."""

    def __init__(self) -> None:
        self.values: list[Argument] = []

    def add(self, value: Argument) -> str:
        """The placeholder that stands for this value."""
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
_TYPES: Mapping[Kind, str] = MappingProxyType({Kind.TEXT: "text", Kind.NUMBER: "numeric", Kind.TIME: "timestamptz"})


def matching(expression: Expression, arguments: Arguments) -> str:
    """The condition that a filter is."""
    match expression:
        case Comparison():
            return _comparison(expression, arguments)
        case AllOf(parts):
            return _joined(" AND ", parts, arguments) if parts else "true"
        case AnyOf(parts):
            return _joined(" OR ", parts, arguments)
        case Not(part):
            return f"NOT ({matching(part, arguments)})"


def _joined(operator: str, parts: Sequence[Expression], arguments: Arguments) -> str:
    return f"({operator.join(matching(part, arguments) for part in parts)})"


def _comparison(comparison: Comparison, arguments: Arguments) -> str:
    column = _COLUMNS[comparison.field]
    placeholder = f"{arguments.add(_stored(comparison.value))}::{_TYPES[FIELDS[comparison.field]]}"
    if comparison.comparator == ":":
        return f"strpos(lower({column}), lower({placeholder})) > 0"
    return f"{column} {comparison.comparator} {placeholder}"


def _stored(value: Value) -> Value:
    """A value in the unit of its column: the only numbers are prices, which are kept in hundredths."""
    return value.scaleb(2) if isinstance(value, Decimal) else value


@dataclass(frozen=True, slots=True)
class SortColumn:
    """A column to sort by, and the type of its values in a page token."""

    name: str
    key_type: type[Key]
    descending: bool


_KEY_TYPES: Mapping[str, type[Key]] = MappingProxyType(
    {"title": str, "category": str, "price": int, "create_time": datetime, "update_time": datetime}
)


def sort_columns(order: Sequence[SortKey]) -> tuple[SortColumn, ...]:
    """The columns of an order, and the uid after them, which makes it total."""
    columns = [SortColumn(_COLUMNS[key.field], _KEY_TYPES[key.field], key.descending) for key in order]
    return (*columns, SortColumn("uid", UUID, order[-1].descending))


def ordering(columns: Sequence[SortColumn]) -> str:
    """What comes after ORDER BY."""
    return ", ".join(f"{column.name} {'DESC' if column.descending else 'ASC'}" for column in columns)


def coming_after(columns: Sequence[SortColumn], key: Sequence[Key], arguments: Arguments) -> str:
    """The condition for the rows that sort after the one with this key.

    PostgreSQL compares rows, (a, b) > ($1, $2), in one direction only. Said for each column, `>=` first, an index
    serves orders of mixed directions too.
    """
    column, *rest = columns
    operator = "<" if column.descending else ">"
    placeholder = arguments.add(key[0])
    if not rest:
        return f"{column.name} {operator} {placeholder}"
    tied = coming_after(rest, key[1:], arguments)
    return f"{column.name} {operator}= {placeholder} AND ({column.name} {operator} {placeholder} OR {tied})"
