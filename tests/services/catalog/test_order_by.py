"""The syntax of orders."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from services.catalog.order_by import FIELDS, NEWEST_FIRST, SortKey, parse_order_by


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", NEWEST_FIRST),
        ("  ", NEWEST_FIRST),
        ("title", (SortKey("title"),)),
        ("title asc", (SortKey("title"),)),
        ("price desc", (SortKey("price", descending=True),)),
        ("category, price", (SortKey("category"), SortKey("price"))),
        (" category  desc ,create_time\tdesc ", (
            SortKey("category", descending=True), SortKey("create_time", descending=True),
        )),
    ],
)  # fmt: skip
def test_an_order_is_a_list_of_fields(text: str, expected: tuple[SortKey, ...]) -> None:
    """Fields are ascending by default; blanks are ignored."""
    assert parse_order_by(text) == expected


@pytest.mark.parametrize(
    ("text", "column", "problem"),
    [
        ("weight", 1, 'there is no field "weight"; the fields are title, category, price,'),
        ("title, weight desc", 8, 'there is no field "weight"'),
        ("price.currency_code", 1, 'there is no field "price.currency_code"'),
        ("x" * 200, 1, 'there is no field "' + "x" * 32 + '…"'),
        ("desc", 1, 'there is no field "desc"'),
        (",", 1, "expected a field, one of title,"),
        ("title,", 7, "expected a field"),
        ("title,, price", 7, "expected a field"),
        ("title DESC", 7, 'expected "asc", "desc", a comma or the end'),
        ("title desc price", 12, "expected a comma or the end"),
        ("title desc; DROP TABLE products", 7, 'expected "asc"'),
        ("title, title desc", 8, '"title" is repeated'),
        ("price desc, title", 13, 'this order is not supported: order by one field, or by "category" and one more'),
        ("category, price, title", 18, "this order is not supported: order by one field"),
        ("category, price desc", 11, 'this order is not supported: both fields must be "asc", or both "desc"'),
        ("title\0", 1, 'there is no field "title\N{REPLACEMENT CHARACTER}"'),
    ],
)
def test_an_error_names_its_column(text: str, column: int, problem: str) -> None:
    """The violation names the field `order_by`, the column from 1, and what was expected there."""
    with pytest.raises(InvalidArgument) as caught:
        parse_order_by(text)
    violation = caught.value.violations[0]
    assert (violation.field, violation.reason) == ("order_by", "ORDER_BY_INVALID")
    assert violation.description.startswith(f"column {column}: {problem}"), violation.description


@given(st.lists(st.sampled_from([*FIELDS, "asc", "desc", ",", " ", "\0", "\n"])).map("".join) | st.text())
def test_any_text_is_an_order_or_an_invalid_argument(text: str) -> None:
    """A valid order has known fields, each once."""
    fields: list[str] = []
    with contextlib.suppress(InvalidArgument):
        fields = [key.field for key in parse_order_by(text)]
    assert set(fields) <= set(FIELDS)
    assert len(fields) == len(set(fields))
