"""Filters of lists: a part of AIP-160, from text to a tree of typed comparisons.

    filter     = [ expression ] ;
    expression = factor , { "AND" , factor } ;
    factor     = term , { "OR" , term } ;
    term       = [ "NOT" ] , ( comparison | "(" , expression , ")" ) ;
    comparison = field , comparator , value ;
    field      = name , { "." , name } ;
    comparator = "<=" | "<" | ">=" | ">" | "!=" | "=" | ":" ;
    value      = string | word ;
    string     = '"' , { "\" , any | any but '"' and "\" } , '"' ;    (the same with ' for ")
    word       = one or more of any but blanks, quotes, parentheses, "<", ">", "!", "=" and "," ;

Blanks are allowed between any two of these. OR binds closer than AND, as in AIP-160. The comparator `:` means that a
text contains another, regardless of case. The type of the field decides whether a word is a text, a number or an
RFC 3339 time.
"""

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias

from mesh.errors import InvalidArgument
from services.catalog.syntax_errors import quoted, syntax_error


class Kind(enum.Enum):
    """The type of a field; the value is its description in error messages."""

    TEXT = "a text"
    NUMBER = "a number"
    TIME = "a time"


FIELDS: Mapping[str, Kind] = MappingProxyType(
    {
        "title": Kind.TEXT,
        "category": Kind.TEXT,
        "price": Kind.NUMBER,
        "price.currency_code": Kind.TEXT,
        "create_time": Kind.TIME,
        "update_time": Kind.TIME,
    }
)

DEPTH_MAX = 10  # of parentheses; the parser and PostgreSQL both recurse

COST_MAX = 50  # of a filter: the sum of the costs of its comparisons
CONTAINS_COST = 5  # of a comparison by ":", which reads the whole text; any other comparison costs 1

Value: TypeAlias = str | Decimal | datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a field with a value: a str, Decimal or aware datetime, by the field's Kind."""

    field: str
    comparator: str
    value: Value

    @property
    def cost(self) -> int:
        """Returns the cost of the comparison for one product, in units of the cheapest comparison."""
        return CONTAINS_COST if self.comparator == ":" else 1


@dataclass(frozen=True, slots=True)
class AllOf:
    """A conjunction: true if every part is; true without parts."""

    parts: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """A disjunction: true if any part is."""

    parts: "tuple[Expression, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """A negation: true if its part is not."""

    part: "Expression"


@dataclass(frozen=True, slots=True)
class InCategories:
    """A membership: true for a product that belongs to one of these categories, by its main or an additional one."""

    categories: tuple[str, ...]


Expression: TypeAlias = Comparison | AllOf | AnyOf | Not | InCategories


def cost_of(expression: Expression) -> int:
    """Returns the cost of all comparisons of a filter, at most COST_MAX."""
    match expression:
        case Comparison():
            return expression.cost
        case InCategories():
            return CONTAINS_COST
        case AllOf(parts) | AnyOf(parts):
            return sum(map(cost_of, parts))
        case Not(part):
            return cost_of(part)


def parse_filter(text: str) -> Expression:
    """Parses a filter. Raises InvalidArgument with a violation of `filter` that names the column, from 1."""
    if (nul := text.find("\0")) >= 0:
        raise syntax_error("filter", nul, "the character NUL can't be compared with anything")
    return _Parser(text).parse()


_BLANKS = re.compile(r"[ \t\r\n]*")
_AND = re.compile(r"AND\b")
_OR = re.compile(r"OR\b")
_NOT = re.compile(r"NOT\b")
_OPEN = re.compile(r"\(")
_CLOSE = re.compile(r"\)")
_FIELD = re.compile(r"(?!(?:AND|OR|NOT)\b)[a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*)*", re.ASCII | re.IGNORECASE)
_COMPARATOR = re.compile(r"<=|<|>=|>|!=|=|:")
_STRING = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", re.DOTALL)
_WORD = re.compile(r"""(?!(?:AND|OR|NOT)(?:\s|[()]|$))[^\s"'()<>!=,]+""")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


_TOO_COSTLY = (
    f'the filter costs more than {COST_MAX} up to here; use fewer comparisons: one by ":" costs {CONTAINS_COST}, '
    "any other costs 1"
)


class _Parser:
    """A recursive-descent parser with a method for each rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._cost = 0

    def parse(self) -> Expression:
        self._skip_blanks()
        if self._at == len(self._text):
            return AllOf(())
        expression = self._expression(depth=0)
        if self._at < len(self._text):
            raise self._wrong("expected AND, OR or the end")
        return expression

    def _expression(self, depth: int) -> Expression:
        parts = [self._factor(depth)]
        while self._take(_AND):
            parts.append(self._factor(depth))
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _factor(self, depth: int) -> Expression:
        parts = [self._term(depth)]
        while self._take(_OR):
            parts.append(self._term(depth))
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _term(self, depth: int) -> Expression:
        if self._take(_NOT):
            return Not(self._simple(depth))
        return self._simple(depth)

    def _simple(self, depth: int) -> Expression:
        opened = self._at
        if not self._take(_OPEN):
            return self._comparison()
        if depth == DEPTH_MAX:
            raise self._wrong(f"more than {DEPTH_MAX} nested parentheses", opened)
        expression = self._expression(depth + 1)
        if not self._take(_CLOSE):
            raise self._wrong('expected AND, OR or ")"')
        return expression

    def _comparison(self) -> Comparison:
        began = self._at
        field = self._take(_FIELD)
        if not field:
            raise self._wrong("expected a field")
        kind = FIELDS.get(field)
        if kind is None:
            raise self._wrong(f'there is no field "{quoted(field)}"; the fields are {", ".join(FIELDS)}', began)
        comparison = Comparison(field, self._comparator(kind), self._value(kind))
        self._cost += comparison.cost
        if self._cost > COST_MAX:
            raise self._wrong(_TOO_COSTLY, began)
        return comparison

    def _comparator(self, kind: Kind) -> str:
        began = self._at
        comparator = self._take(_COMPARATOR)
        if not comparator:
            raise self._wrong("expected one of = != < <= > >= :")
        if comparator == ":" and kind is not Kind.TEXT:
            raise self._wrong(f'":" is for texts, and this field is {kind.value}', began)
        return comparator

    def _value(self, kind: Kind) -> Value:
        began = self._at
        is_string = self._text[began : began + 1] in ('"', "'")
        written = self._take(_STRING if is_string else _WORD)
        if not written:
            raise self._wrong("the quoted text has no end" if is_string else "expected a value")
        if is_string and kind is Kind.NUMBER:
            raise self._wrong("this field is a number; leave out the quotes", began)
        try:
            return _READERS[kind](_ESCAPE.sub(r"\1", written[1:-1]) if is_string else written)
        except ValueError as error:
            raise self._wrong(str(error), began) from None

    def _take(self, pattern: re.Pattern[str]) -> str:
        """Returns the match of the pattern at the current position, "" if it does not match; advances past it and the
        blanks after it.
        """
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        self._skip_blanks()
        return match.group()

    def _skip_blanks(self) -> None:
        blanks = _BLANKS.match(self._text, self._at)
        assert blanks is not None, "the pattern matches the empty text"
        self._at = blanks.end()

    def _wrong(self, problem: str, at: int | None = None) -> InvalidArgument:
        return syntax_error("filter", self._at if at is None else at, problem)


_NUMBER = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{1,6})?")
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def _number(written: str) -> Decimal:
    if not _NUMBER.fullmatch(written):
        raise ValueError("expected a number such as 10 or 9.99, with at most 12 digits and 6 after the point")
    return Decimal(written)


def _time(written: str) -> datetime:
    expected = "expected a time such as 2026-01-31T09:00:00Z (RFC 3339)"
    if not _TIME.fullmatch(written):
        raise ValueError(expected)
    try:
        return datetime.fromisoformat(written.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(expected) from None


_READERS: Mapping[Kind, Callable[[str], Value]] = MappingProxyType(
    {Kind.TEXT: str, Kind.NUMBER: _number, Kind.TIME: _time}
)
