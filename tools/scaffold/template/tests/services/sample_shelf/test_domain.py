"""The rules of sample notes."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from mesh.errors import Aborted, InvalidArgument, NotFound
from services.sample_shelf.domain import Details, SampleNote, owned, uid_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
DETAILS = Details("First", "Line 1\nLine 2")


def created(owner: str = "users/ada") -> SampleNote:
    """Returns a sample note in its first version."""
    return SampleNote.create(uuid4(), owner, DETAILS, NOW)


def test_a_new_sample_note_has_a_name_and_a_version() -> None:
    """The name of a new sample note contains its identifier, and its version is the first."""
    new = SampleNote.create(UUID(int=7), "users/ada", DETAILS, NOW)
    assert (new.name, new.etag, new.delete_time) == (f"sampleNotes/{UUID(int=7)}", "1", None)


@pytest.mark.parametrize(
    ("display_name", "description", "fields"),
    [
        (" ", "", ["sample_note.display_name"]),
        ("two\nlines", "", ["sample_note.display_name"]),
        ("First", "\0", ["sample_note.description"]),
        ("", "\0", ["sample_note.display_name", "sample_note.description"]),
    ],
)
def test_invalid_details_are_rejected(display_name: str, description: str, fields: list[str]) -> None:
    """The error lists every invalid field."""
    with pytest.raises(InvalidArgument) as caught:
        Details.checked(display_name, description)
    assert [violation.field for violation in caught.value.violations] == fields


def test_an_update_makes_a_new_version() -> None:
    """An update changes the time and the version only if it changes the details."""
    first = created()
    second = first.update(Details("Second", ""), "1", LATER)
    assert (second.details.display_name, second.update_time, second.etag) == ("Second", LATER, "2")
    assert second.update(second.details, "", NOW) is second


def test_a_stale_etag_is_rejected() -> None:
    """Updates and deletions with a stale etag raise Aborted."""
    with pytest.raises(Aborted):
        created().update(DETAILS, "2", LATER)
    with pytest.raises(Aborted):
        created().delete("2", LATER)


def test_only_the_owner_has_access_until_it_is_deleted() -> None:
    """Other users get the same error as for a sample note that does not exist."""
    mine = created()
    assert owned(mine, "users/ada") is mine
    for found, owner in ((None, "users/ada"), (mine, "users/bob"), (mine.delete("", LATER), "users/ada")):
        with pytest.raises(NotFound):
            owned(found, owner)


@pytest.mark.parametrize("name", ["", "sampleNotes/", "sampleNotes/7", f"others/{UUID(int=7)}"])
def test_a_malformed_name_is_not_found(name: str) -> None:
    """A malformed name raises the same error as one that does not exist."""
    with pytest.raises(NotFound):
        uid_of(name)
