"""The rules of products."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from mesh.errors import Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, MeshError, NotFound
from mesh.money import Money
from services.catalog.domain.product import (
    Details,
    Product,
    all_of,
    changed_meanwhile,
    created_meanwhile,
    existing,
    storable,
    uid_of,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SAW = Details("Saw", "Cuts.", "garden-tools", Money("EUR", 2490))
RAKE = replace(SAW, title="Rake")
LIVE = Product.create(UUID(int=7), SAW, NOW)
DELETED = LIVE.delete("", NOW)


def test_a_product_is_created_at_its_first_version() -> None:
    """Name and etag derive from the uid and the version; both times are that of the creation."""
    assert (LIVE.name, LIVE.etag, LIVE.details) == (f"products/{UUID(int=7)}", "1", SAW)
    assert (LIVE.create_time, LIVE.update_time, LIVE.delete_time) == (NOW, NOW, None)


def test_valid_details_are_accepted_unchanged() -> None:
    """Letters of any script, line breaks and tabs in the description, and a price of zero are valid."""
    checked = Details.checked("Säge 锯 🪚", "Cuts.\r\n\tWell.", "garden-tools", Money("EUR", 0))
    assert checked == Details("Säge 锯 🪚", "Cuts.\r\n\tWell.", "garden-tools", Money("EUR", 0))


@pytest.mark.parametrize(
    ("title", "description", "category", "price", "expected"),
    [
        ("", "", "", None, [("title", "REQUIRED"), ("category", "REQUIRED"), ("price", "REQUIRED")]),
        (" \t\u3000", "", "a", Money("EUR", 1), [("title", "REQUIRED")]),
        ("a\0b", "c\0d", "a", Money("EUR", 1), [("title", "TEXT_INVALID"), ("description", "TEXT_INVALID")]),
        ("two\nlines", "", "a", Money("EUR", 1), [("title", "TEXT_INVALID")]),
        ("two\u2028lines", "", "a", Money("EUR", 1), [("title", "TEXT_INVALID")]),
        ("a", "\x1b[31mred", "a", Money("EUR", 1), [("description", "TEXT_INVALID")]),
        ("a", "", "a", Money("", 1), [("price.currency_code", "REQUIRED")]),
        ("", "\0", "a", Money("", 1), [
            ("title", "REQUIRED"), ("description", "TEXT_INVALID"), ("price.currency_code", "REQUIRED"),
        ]),
    ],
)  # fmt: skip
def test_every_fault_of_the_details_is_named(
    title: str, description: str, category: str, price: Money | None, expected: list[tuple[str, str]]
) -> None:
    """Each invalid field is a violation, with its name in the contract."""
    with pytest.raises(InvalidArgument) as caught:
        Details.checked(title, description, category, price)
    assert [(violation.field, violation.reason) for violation in caught.value.violations] == [
        (f"product.{field}", reason) for field, reason in expected
    ]


@pytest.mark.parametrize("etag", ["", "1"])
def test_a_product_is_updated(etag: str) -> None:
    """Without an etag, or with the current one, the product gets the new details and the next version."""
    assert LIVE.update(RAKE, etag, LATER) == replace(LIVE, details=RAKE, update_time=LATER, version=2)


def test_an_update_to_the_same_details_changes_nothing() -> None:
    """A repeated update does not make a new version."""
    assert LIVE.update(SAW, "", LATER) is LIVE


def test_a_product_is_deleted_and_undeleted() -> None:
    """Both make a new version and keep the details."""
    deleted = LIVE.delete("1", LATER)
    assert deleted == replace(LIVE, delete_time=LATER, update_time=LATER, version=2)
    assert deleted.undelete("2", LATER) == replace(LIVE, update_time=LATER, version=3)


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        (lambda: DELETED.update(RAKE, "", LATER), FailedPrecondition, "PRODUCT_DELETED"),
        (lambda: DELETED.delete("", LATER), NotFound, "PRODUCT_DELETED"),
        (lambda: LIVE.undelete("", LATER), AlreadyExists, "PRODUCT_NOT_DELETED"),
    ],
    ids=["update a deleted one", "delete a deleted one", "undelete a live one"],
)
def test_a_change_that_the_state_forbids_is_refused(
    change: Callable[[], Product], kind: type[MeshError], reason: str
) -> None:
    """AIP-164: a deleted product can't be updated or deleted again, and others can't be undeleted."""
    with pytest.raises(kind) as caught:
        change()
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("change", "current"),
    [
        (lambda: LIVE.update(RAKE, "0", LATER), "1"),
        (lambda: LIVE.update(SAW, "0", LATER), "1"),
        (lambda: LIVE.delete("2", LATER), "1"),
        (lambda: DELETED.undelete("1", LATER), "2"),
    ],
    ids=["update", "update to the same", "delete", "undelete"],
)
def test_a_stale_etag_changes_nothing(change: Callable[[], Product], current: str) -> None:
    """The error carries the current etag."""
    with pytest.raises(Aborted) as caught:
        change()
    assert (caught.value.reason, caught.value.metadata) == ("ETAG_MISMATCH", {"etag": current})


def test_a_name_gives_its_uid() -> None:
    """The identifier in a product's name is its uid."""
    assert uid_of(LIVE.name) == LIVE.uid


@pytest.mark.parametrize(
    "name",
    [
        "products/",
        "products/1",
        "products/0F0E0D0C-0B0A-4908-8706-050403020100",
        "products/{0f0e0d0c-0b0a-4908-8706-050403020100}",
        "products/products/0f0e0d0c-0b0a-4908-8706-050403020100",
        "products/\0",
    ],
)
def test_a_name_that_no_product_has_is_not_found(name: str) -> None:
    """Other spellings of a UUID are not names, because a product has only one name."""
    with pytest.raises(NotFound):
        uid_of(name)


@pytest.mark.parametrize("name", ["", "0f0e0d0c-0b0a-4908-8706-050403020100", "orders/7"])
def test_a_malformed_name_is_an_error_of_its_field(name: str) -> None:
    """The violation has the field that the caller passed."""
    with pytest.raises(InvalidArgument) as caught:
        uid_of(name, "product.name")
    assert [violation.field for violation in caught.value.violations] == ["product.name"]


def test_a_missing_product_is_not_found() -> None:
    """An existing one is returned."""
    assert existing(LIVE) is LIVE
    with pytest.raises(NotFound):
        existing(None)


def test_a_batch_is_answered_in_the_order_of_its_names() -> None:
    """A repeated name returns its product repeatedly."""
    other = Product.create(uuid4(), RAKE, NOW)
    found = {product.name: product for product in (LIVE, other)}
    assert all_of([other.name, LIVE.name, other.name], found) == [other, LIVE, other]


def test_a_batch_names_every_missing_product() -> None:
    """Every name without a product is a violation, and no product is returned."""
    with pytest.raises(NotFound) as caught:
        all_of(["products/1", LIVE.name, "products/2"], {LIVE.name: LIVE})
    assert [violation.field for violation in caught.value.violations] == ["names[0]", "names[2]"]


def test_a_text_with_nul_is_an_error_of_its_field() -> None:
    """PostgreSQL can't store NUL; other texts are returned."""
    assert storable("a b", "query") == "a b"
    with pytest.raises(InvalidArgument) as caught:
        storable("a\0b", "query")
    assert [violation.field for violation in caught.value.violations] == ["query"]


@pytest.mark.parametrize("conflict", [changed_meanwhile, created_meanwhile])
def test_a_conflict_that_passes_has_a_retry_delay(conflict: Callable[[], Aborted]) -> None:
    """The delay distinguishes it from a stale etag, which has none."""
    assert (conflict().reason, conflict().retry_after_s) == ("CONCURRENT_CHANGE", 1)
    with pytest.raises(Aborted) as caught:
        LIVE.delete("stale", NOW)
    assert (caught.value.reason, caught.value.retry_after_s) == ("ETAG_MISMATCH", None)
