"""Page tokens and page sizes."""

import base64
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.errors import InvalidArgument
from mesh.pagination import Page, read_page
from mesh.position import Key

QUERY = ("products", 'name = "x"', "create_time desc")
KEY: tuple[Key, ...] = (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), UUID(int=7), "näme", -5)
KEY_TYPES: tuple[type[Key], ...] = (datetime, UUID, str, int)


def _read(page_token: str = "", page_size: int = 2, query: tuple[str, ...] = QUERY) -> Page:
    return read_page(page_size, page_token, query=query, key_types=KEY_TYPES)


def _token() -> str:
    _, token = _read().split(["a", "b", "c"], lambda row: KEY)
    return token


def test_a_token_leads_to_the_row_after_the_last_one_given() -> None:
    """A full page has a token with the key of its last row, of all types of keys."""
    keys = {"a": 1, "b": 2, "c": 3}
    page = read_page(2, "", query=QUERY, key_types=[int])
    rows, token = page.split(list(keys), lambda row: (keys[row],))
    assert (rows, page.after, page.limit) == (["a", "b"], None, 3)
    assert read_page(2, token, query=QUERY, key_types=[int]).after == (2,)
    assert _read(_token()).after == KEY


def test_a_token_of_an_earlier_version_is_read() -> None:
    """Its characters beyond ASCII are escaped."""
    token = _forged("2026-01-02T03:04:05.000678+00:00", str(KEY[1]), "näme 🪚", -5)
    assert b"n\\u00e4me \\ud83e\\ude9a" in base64.urlsafe_b64decode(token + "==")
    assert _read(token).after == (*KEY[:2], "näme 🪚", -5)


def test_the_last_page_has_no_token() -> None:
    """No token is given when no row is left, nor for an empty list."""
    assert _read().split(["a", "b"], lambda row: KEY) == (["a", "b"], "")
    assert _read().split([], lambda row: KEY) == ([], "")


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)])
def test_the_page_size_is_bounded(asked: int, given: int) -> None:
    """No size means the default, and one that is too large means the largest (AIP-158)."""
    assert _read(page_size=asked).size == given


def test_a_list_may_have_shorter_pages() -> None:
    """A list of expensive rows can set a smaller maximum page size."""
    assert read_page(1000, "", query=QUERY, key_types=KEY_TYPES, size_max=20).size == 20


def test_the_page_size_may_change_between_pages() -> None:
    """A token does not bind the page size."""
    assert _read(_token(), page_size=10).after == KEY


def test_a_token_of_another_query_is_refused() -> None:
    """A token is valid only for the list that it came from, and the error explains that."""
    for query in (("orders", *QUERY[1:]), QUERY[:2], (*QUERY, "")):
        with pytest.raises(InvalidArgument, match="belongs to a list with another filter, order or parent"):
            _read(_token(), query=query)


def test_every_violation_is_listed() -> None:
    """A negative size and a foreign token are both named."""
    with pytest.raises(InvalidArgument) as caught:
        _read("garbage!", page_size=-1)
    assert [violation.field for violation in caught.value.violations] == ["page_size", "page_token"]


def _forged(*parts: object) -> str:
    fingerprint = json.loads(base64.urlsafe_b64decode(_token() + "=="))[0]
    return base64.urlsafe_b64encode(json.dumps([fingerprint, *parts]).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "ä",
        "[]",
        "W10",
        "x" * 5000,
        base64.urlsafe_b64encode(b"[" * 1500).decode(),
        _forged(),
        _forged(*[None] * 4),
        _forged("yesterday", str(UUID(int=7)), "n", 1),
        _forged("2026-01-02T03:04:05", str(UUID(int=7)), "n", 1),
        _forged("0001-01-01T00:00:00+14:00", str(UUID(int=7)), "n", 1),
        _forged("2026-01-02T03:04:05Z", "7", "n", 1),
        _forged("2026-01-02T03:04:05Z", str(UUID(int=7)), "\0", 1),
        _forged("2026-01-02T03:04:05Z", str(UUID(int=7)), "\ud800", 1),
        _forged("2026-01-02T03:04:05Z", str(UUID(int=7)), "n", True),
        _forged("2026-01-02T03:04:05Z", str(UUID(int=7)), "n", 2**63),
        _forged("2026-01-02T03:04:05Z", str(UUID(int=7)), "n", 1.5),
        _forged("2026-01-02T03:04:05Z", str(UUID(int=7)), "n", 1, 1),
    ],
)
def test_garbage_is_an_invalid_argument(token: str) -> None:
    """A malformed token, or one with a key that PostgreSQL can't store, is a violation of page_token."""
    with pytest.raises(InvalidArgument) as caught:
        _read(token)
    assert [violation.field for violation in caught.value.violations] == ["page_token"]


@given(st.text())
def test_any_text_is_refused_or_a_key(text: str) -> None:
    """Any text is a valid token or InvalidArgument."""
    if text:
        with pytest.raises(InvalidArgument):
            _read(text)
