"""The syntax of filters."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from services.catalog.filter import (
    COST_MAX,
    DEPTH_MAX,
    FIELDS,
    AllOf,
    AnyOf,
    Comparison,
    Expression,
    Not,
    cost_of,
    parse_filter,
)

A, B, C = (Comparison("title", "=", letter) for letter in "abc")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", AllOf(())),
        (" \t\r\n", AllOf(())),
        ("title=a", A),
        (" title = a ", A),
        ("title = a AND title = b AND title = c", AllOf((A, B, C))),
        ("title = a OR title = b OR title = c", AnyOf((A, B, C))),
        ("title = a AND title = b OR title = c", AllOf((A, AnyOf((B, C))))),
        ("title = a OR title = b AND title = c", AllOf((AnyOf((A, B)), C))),
        ("(title = a AND title = b) OR title = c", AnyOf((AllOf((A, B)), C))),
        ("NOT title = a AND NOT (title = b)", AllOf((Not(A), Not(B)))),
        ("((title=a))AND(title=b)", AllOf((A, B))),
    ],
)
def test_comparisons_are_joined(text: str, expected: Expression) -> None:
    """NOT binds closest, then OR, then AND, as in AIP-160, unless there are parentheses."""
    assert parse_filter(text) == expected


@pytest.mark.parametrize("comparator", ["=", "!=", "<", "<=", ">", ">=", ":"])
def test_a_text_is_compared_in_every_way(comparator: str) -> None:
    """The parser takes the longest comparator that matches."""
    assert parse_filter(f"category{comparator}tools") == Comparison("category", comparator, "tools")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("title = garden-tools", "garden-tools"),
        ("title = Säge:1", "Säge:1"),
        ("title = 12", "12"),
        ("title = ANDROID", "ANDROID"),
        ('title = "a AND (b"', "a AND (b"),
        ("""title = 'say "a"'""", 'say "a"'),
        (r'title = "say \"a\" \\ b"', r'say "a" \ b'),
        ('title = ""', ""),
        ('title = "\'; DROP TABLE products; --"', "'; DROP TABLE products; --"),
        ("price = 10", Decimal(10)),
        ("price = -0.5", Decimal("-0.5")),
        ("price = 999999999999.999999", Decimal("999999999999.999999")),
        ("create_time = 2026-01-31T09:00:00Z", datetime(2026, 1, 31, 9, tzinfo=UTC)),
        ('create_time = "2026-01-31t09:00:00.25+02:00"', datetime(2026, 1, 31, 7, 0, 0, 250_000, tzinfo=UTC)),
        ("update_time = 2026-01-31T09:00:00.123456789Z", datetime(2026, 1, 31, 9, 0, 0, 123_456, tzinfo=UTC)),
    ],
)
def test_values_are_of_their_fields_kind(text: str, expected: object) -> None:
    """Texts with and without quotes, numbers, and times in UTC are parsed by the kind of the field."""
    parsed = parse_filter(text)
    assert isinstance(parsed, Comparison)
    assert (parsed.value, type(parsed.value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("weight > 3", 1, 'there is no field "weight"; the fields are title, category, price,'),
        ("title = a AND Title = b", 15, 'there is no field "Title"'),
        ("price.units = 3", 1, 'there is no field "price.units"'),
        ("x" * 900 + " = 1", 1, 'there is no field "' + "x" * 32 + '…"'),
        ("=", 1, "expected a field"),
        ("'title' = a", 1, "expected a field"),
        ("AND title = a", 1, "expected a field"),
        ("title = a AND", 14, "expected a field"),
        ("title = a OR OR title = b", 14, "expected a field"),
        ("NOT NOT title = a", 5, "expected a field"),
        ("()", 2, "expected a field"),
        ("; DROP TABLE products", 1, "expected a field"),
        ("title", 6, "expected one of = != < <= > >= :"),
        ("title ~ a", 7, "expected one of = != < <= > >= :"),
        ("price : 3", 7, '":" is for texts, and this field is a number'),
        ("create_time:2026", 12, '":" is for texts, and this field is a time'),
        ("price >", 8, "expected a value"),
        ("price > AND title = a", 9, "expected a value"),
        ("title = (a)", 9, "expected a value"),
        ("title == a", 8, "expected a value"),
        ('title = "a', 9, "the quoted text has no end"),
        (r'title = "a\"', 9, "the quoted text has no end"),
        ("title = a'b'", 10, "expected AND, OR or the end"),
        ("title = a title = b", 11, "expected AND, OR or the end"),
        ("title = a and title = b", 11, "expected AND, OR or the end"),
        ("title = a)", 10, "expected AND, OR or the end"),
        ("(title = a", 11, 'expected AND, OR or ")"'),
        ("(title = a,", 11, 'expected AND, OR or ")"'),
        ("title\u00a0= a", 6, "expected one of"),
        ('price = "3"', 9, "this field is a number; leave out the quotes"),
        ("price > ten", 9, "expected a number such as 10 or 9.99"),
        ("price > 1e9", 9, "expected a number"),
        ("price > NaN", 9, "expected a number"),
        ("price > 1_000", 9, "expected a number"),
        ("price > \N{ARABIC-INDIC DIGIT ONE}", 9, "expected a number"),
        ("price > 1.0000001", 9, "expected a number"),
        ("price > " + "9" * 900, 9, "expected a number"),
        ("create_time > yesterday", 15, "expected a time such as 2026-01-31T09:00:00Z"),
        ("create_time > 2026-01-31", 15, "expected a time"),
        ("create_time > 2026-01-31T09:00:00", 15, "expected a time"),
        ("create_time > 2026-02-30T09:00:00Z", 15, "expected a time"),
        ("create_time > 0001-01-01T00:00:00+23:59", 15, "expected a time"),
        ("create_time > 9999-12-31T23:59:59-23:59", 15, "expected a time"),
        ("title = a\0", 10, "the character NUL"),
        ('title = "\0', 10, "the character NUL"),
        ("(" * 1000, DEPTH_MAX + 1, "more than 10 nested parentheses"),
        (" AND ".join(["title=a"] * (COST_MAX + 1)), COST_MAX * 12 + 1, "the filter costs more than 50"),
        (
            " OR ".join(["title:abc"] * 11),
            10 * 13 + 1,
            'the filter costs more than 50 up to here; use fewer comparisons: one by ":" costs 5',
        ),
    ],
)
def test_an_error_names_its_column(text: str, column: int, problem: str) -> None:
    """The violation names the field `filter`, the column from 1, and what was expected there."""
    with pytest.raises(InvalidArgument) as caught:
        parse_filter(text)
    violation = caught.value.violations[0]
    assert (violation.field, violation.reason) == ("filter", "FILTER_INVALID")
    assert violation.description.startswith(f"column {column}: {problem}"), violation.description


def test_parentheses_and_comparisons_are_allowed_up_to_their_limits() -> None:
    """Filters at the limits are valid."""
    assert parse_filter("(" * DEPTH_MAX + "title=a" + ")" * DEPTH_MAX) == A
    assert parse_filter(" AND ".join(["title=a"] * COST_MAX)) == AllOf((A,) * COST_MAX)
    assert cost_of(parse_filter("NOT title:a AND (" + " OR ".join(["title=a"] * 45) + ")")) == COST_MAX


_TOKENS = ("AND", "OR", "NOT", "(", ")", "=", "!=", "<", ">=", ":", '"', "'", "\\", " ", "\0", "-", ".", "\N{SNOWMAN}")
_VALUES = ("word", "1", "9" * 40, "2026-01-31T09:00:00Z", "9999-12-31T23:59:59-23:59")
_PIECES = st.sampled_from([*FIELDS, *_TOKENS, *_VALUES])


@given(st.lists(_PIECES, max_size=60).map("".join) | st.lists(_PIECES, max_size=60).map(" ".join) | st.text())
def test_any_text_is_a_filter_or_an_invalid_argument(text: str) -> None:
    """The error of any other text names a column in it, or the one after its end."""
    try:
        parse_filter(text)
    except InvalidArgument as error:
        column = int(error.violations[0].description.removeprefix("column ").partition(":")[0])
        assert 1 <= column <= len(text) + 1
