"""The rules of sample notes: valid content, ownership, and changes."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self
from uuid import UUID

from mesh.errors import FieldViolation, MeshError, NotFound, invalid_fields
from mesh.etag import check_etag
from mesh.resource_name import uid_in

NAME_PREFIX = "sampleNotes/"

# Controls (NUL among them, which PostgreSQL can't store) and the separators of lines and paragraphs.
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_LAYOUT = frozenset("\n\r\t")


@dataclass(frozen=True, slots=True)
class Details:
    """The fields of a sample note that its owner sets. The contract limits their lengths."""

    display_name: str
    description: str

    @classmethod
    def checked(cls, display_name: str, description: str) -> Self:
        """Returns the details if they are valid. Raises InvalidArgument with every violation."""
        if violations := [*_display_name_violations(display_name), *_description_violations(description)]:
            raise invalid_fields(tuple(violations))
        return cls(display_name, description)


@dataclass(frozen=True, slots=True)
class SampleNote:
    """A sample note. `version` counts its changes; `delete_time` is None unless it was deleted."""

    uid: UUID
    owner: str
    details: Details
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None
    version: int

    @classmethod
    def create(cls, uid: UUID, owner: str, details: Details, now: datetime) -> Self:
        """Returns a new sample note."""
        return cls(uid, owner, details, create_time=now, update_time=now, delete_time=None, version=1)

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.uid}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    def update(self, details: Details, etag: str, now: datetime) -> Self:
        """Returns it with these details, itself if they are the same. Raises Aborted if `etag` is given and stale."""
        self._check_etag(etag)
        if details == self.details:
            return self
        return replace(self, details=details, update_time=now, version=self.version + 1)

    def delete(self, etag: str, now: datetime) -> Self:
        """Returns it as deleted. Raises Aborted if `etag` is given and stale."""
        self._check_etag(etag)
        return replace(self, delete_time=now, update_time=now, version=self.version + 1)

    def _check_etag(self, etag: str) -> None:
        check_etag(etag, self.etag, "The sample note has changed. Read it again, then decide.")


def uid_of(name: str) -> UUID:
    """Returns the identifier in a name. Raises NotFound if the name does not have the form of this resource."""
    if (uid := uid_in(name, NAME_PREFIX)) is None:
        raise _not_found()
    return uid


def owned(found: SampleNote | None, owner: str) -> SampleNote:
    """Returns the one found. Raises NotFound if it does not exist, was deleted, or belongs to another user."""
    if found is None or found.delete_time is not None or found.owner != owner:
        raise _not_found()
    return found


def _display_name_violations(display_name: str) -> Sequence[FieldViolation]:
    field = "sample_note.display_name"
    if not display_name.strip():
        return [FieldViolation(field, "must be given", "REQUIRED")]
    if any(_is_control(char) for char in display_name):
        return [FieldViolation(field, "must not have line breaks or control characters", "TEXT_INVALID")]
    return []


def _description_violations(description: str) -> Sequence[FieldViolation]:
    if any(_is_control(char) and char not in _LAYOUT for char in description):
        why = "must not have control characters other than line breaks and tabs"
        return [FieldViolation("sample_note.description", why, "TEXT_INVALID")]
    return []


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in _CONTROL_CATEGORIES


def _not_found() -> MeshError:
    return NotFound("The sample note does not exist.", reason="SAMPLE_NOTE_NOT_FOUND")
