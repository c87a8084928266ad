"""The rules of users, without a database."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from mesh.errors import Aborted, InvalidArgument, NotFound
from services.identity.domain import ALL_SCOPES, Role, User, checked_display_name, may_be_email, narrow, own_uid, uid_of

UID = UUID("0b36c9a2-58a3-4a5e-9f0e-1d3a4b5c6d7e")
NAME = f"users/{UID}"


def user(version: int) -> User:
    """Returns a user after this number of changes."""
    time = datetime(2024, 1, 1, tzinfo=UTC)
    return User(UID, "ada@example.com", "Ada", Role.CUSTOMER, time, time, version, email_confirmed=False)


@pytest.mark.parametrize("name", ["users/me", NAME])
def test_a_caller_has_two_names(name: str) -> None:
    """ "users/me" and the caller's own name are the caller."""
    assert own_uid(name, NAME) == UID


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        (NAME.upper(), NAME),
        ("users/ME", NAME),
        ("users/me", ""),
        ("users/me", "workloads/orders"),
        ("workloads/orders", "workloads/orders"),
        ("users/me", "users/me"),
        ("", ""),
    ],
)
def test_no_other_name_is_the_callers(name: str, subject: str) -> None:
    """Other spellings, workloads and anonymous callers are not found."""
    with pytest.raises(NotFound):
        own_uid(name, subject)


@pytest.mark.parametrize("name", [str(UID), f"users/{UID.hex}", f"users/{{{UID}}}", f"users/{UID}\n", "users/", "x/y"])
def test_a_resource_name_has_one_spelling(name: str) -> None:
    """Other spellings of the same UUID, which uuid.UUID accepts, are not names."""
    with pytest.raises(NotFound):
        uid_of(name)


@pytest.mark.parametrize("etag", ["", "7"])
def test_the_current_etag_and_none_pass(etag: str) -> None:
    """An etag is only checked if it is given."""
    user(7).check_etag(etag)


@pytest.mark.parametrize("etag", ["6", "8", "07", "*", "\0"])
def test_another_etag_is_aborted_with_the_current(etag: str) -> None:
    """The error holds the current etag."""
    with pytest.raises(Aborted) as caught:
        user(7).check_etag(etag)
    assert caught.value.metadata == {"etag": "7"}


@pytest.mark.parametrize("name", ["Ada", "Åsa Öberg", "山田太郎", "👩‍🚀", "O'Neil <x>", "x" * 100])
def test_names_of_all_scripts_pass(name: str) -> None:
    """A name may have any visible characters, including joined emoji; blanks around it are removed."""
    assert checked_display_name(f" {name} ", "display_name") == name


@pytest.mark.parametrize("name", ["", "   ", "a\0b", "a\nb", "a\x85b", "a\u2029b", "a\u202eb", "\ud800", "x" * 101])
def test_a_name_that_cant_be_shown_is_a_violation(name: str) -> None:
    """The violation has the field that the caller sent."""
    with pytest.raises(InvalidArgument) as caught:
        checked_display_name(name, "user.display_name")
    assert [violation.field for violation in caught.value.violations] == ["user.display_name"]


@pytest.mark.parametrize("text", ["nul\0@example.com", "ñ@example.com", "a\n@example.com", "\ud800"])
def test_an_impossible_address_is_never_queried(text: str) -> None:
    """A text that PostgreSQL can't store is not an address."""
    assert not may_be_email(text)


@pytest.mark.parametrize(
    ("wanted", "given"),
    [("", {"a", "b"}), ("a", {"a"}), ("b a", {"a", "b"}), (" a  a ", {"a"})],
)
def test_requested_scopes_are_granted_alone(wanted: str, given: set[str]) -> None:
    """Without a request all scopes are granted."""
    assert narrow({"a", "b"}, wanted) == given


@pytest.mark.parametrize(("granted", "wanted"), [({"a"}, "a c"), ({"a"}, "A"), (set(), "a")])
def test_a_scope_beyond_the_granted_ones_is_rejected(granted: set[str], wanted: str) -> None:
    """The request is an error, instead of silently granting fewer scopes."""
    with pytest.raises(InvalidArgument) as caught:
        narrow(granted, wanted)
    assert caught.value.reason == "INVALID_SCOPE"


def test_staff_may_all_that_customers_may() -> None:
    """Staff has the scopes of customers and those of its own work."""
    assert Role.STAFF.scopes == ALL_SCOPES
    assert Role.STAFF.scopes - Role.CUSTOMER.scopes == {
        "analytics.read",
        "catalog.write",
        "inventory.read",
        "inventory.write",
        "orders.manage",
        "payments.manage",
        "support.manage",
    }
    assert Role.CUSTOMER.scopes < Role.STAFF.scopes
