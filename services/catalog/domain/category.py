"""A category of products, and the tree that the categories form."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Self

from mesh.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    NotFound,
    invalid_fields,
)
from mesh.etag import check_etag
from services.catalog.domain.text import title_violations

NAME_PREFIX: Final = "categories/"
LEVELS_MAX: Final = 10
CATEGORIES_MAX: Final = 2000


@dataclass(frozen=True, slots=True)
class Category:
    """A category. `parent` is the identifier of the category above it, None at the top; `version` starts at 1 and grows
    by 1 with every change of the category or of the place of one above it.
    """

    id: str
    title: str
    parent: str | None
    create_time: datetime
    update_time: datetime
    version: int

    @classmethod
    def create(cls, category_id: str, title: str, parent: str | None, now: datetime) -> Self:
        """Returns a new category."""
        return cls(category_id, title, parent, create_time=now, update_time=now, version=1)

    @classmethod
    def implied(cls, category_id: str, now: datetime) -> Self:
        """Returns a new category at the top, for a product that names it. Its title follows from its identifier."""
        return cls.create(category_id, category_id.replace("-", " ").capitalize(), None, now)

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{NAME_PREFIX}{self.id}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    def update(self, title: str, parent: str | None, etag: str, now: datetime) -> Self:
        """Returns the category with this title and place; itself if they are the same. Raises Aborted if `etag` is
        given and stale.
        """
        self.check_version(etag)
        if (title, parent) == (self.title, self.parent):
            return self
        return replace(self, title=title, parent=parent, update_time=now, version=self.version + 1)

    def check_version(self, etag: str) -> None:
        """Raises Aborted if `etag` is given and stale."""
        check_etag(etag, self.etag, "The category has changed since it was read. Read it again before you change it.")


@dataclass(frozen=True, slots=True)
class Tree:
    """All categories, as the identifiers of those above them (None at the top)."""

    parents: Mapping[str, str | None]

    def ancestors(self, category_id: str) -> tuple[str, ...]:
        """Returns the categories above one, from the top down."""
        found: list[str] = []
        above = self.parents[category_id]
        while above is not None:
            found.append(above)
            above = self.parents[above]
        return tuple(reversed(found))

    def subtree(self, category_id: str) -> tuple[str, ...]:
        """Returns a category and all below it, each after the one above it."""
        children: defaultdict[str | None, list[str]] = defaultdict(list)
        for each, parent in self.parents.items():
            children[parent].append(each)
        found = [category_id]
        for each in found:  # grows meanwhile
            found += children[each]
        return tuple(found)

    def check_new(self, category_id: str, parent: str | None) -> None:
        """Raises AlreadyExists if there is such a category, FailedPrecondition if there is no room for it,
        InvalidArgument if the parent does not exist.
        """
        if category_id in self.parents:
            raise AlreadyExists("The category exists already.", reason="CATEGORY_EXISTS")
        self.check_room(1)
        self._check_levels(self._levels_down_to(parent) + 1)

    def check_room(self, count: int) -> None:
        """Raises FailedPrecondition if there is no room for so many new categories."""
        if len(self.parents) + count > CATEGORIES_MAX:
            raise too_many()

    def fitting(self, category_ids: Iterable[str]) -> list[str]:
        """Returns those of these categories that are new, the first of them for which there is room."""
        new = [each for each in category_ids if each not in self.parents]
        return new[: max(0, CATEGORIES_MAX - len(self.parents))]

    def check_move(self, category_id: str, parent: str | None) -> None:
        """Raises FailedPrecondition if the category would be below itself or the tree too deep, InvalidArgument if the
        parent does not exist.
        """
        levels = self._levels_down_to(parent)
        if parent is not None and category_id in (parent, *self.ancestors(parent)):
            raise FailedPrecondition(
                f"The category can't be moved below {NAME_PREFIX}{parent}, which is itself or below it.",
                reason="CATEGORY_CYCLE",
            )
        own = len(self.ancestors(category_id))
        height = max(len(self.ancestors(each)) - own for each in self.subtree(category_id))
        self._check_levels(levels + 1 + height)

    def _levels_down_to(self, parent: str | None) -> int:
        if parent is None:
            return 0
        if parent not in self.parents:
            raise invalid_fields([FieldViolation("category.parent", "does not exist", "NOT_FOUND")])
        return len(self.ancestors(parent)) + 1

    @staticmethod
    def _check_levels(count: int) -> None:
        if count > LEVELS_MAX:
            raise FailedPrecondition(
                f"The tree of categories would have more than {LEVELS_MAX} levels.", reason="CATEGORIES_TOO_DEEP"
            )


def check_unused(child: str | None, product: str | None) -> None:
    """Raises FailedPrecondition if a category can't be deleted because of one below it (its identifier), or because of
    a product that belongs to it (its name).
    """
    if child is not None:
        raise FailedPrecondition(
            f"Categories are below this one, for example {NAME_PREFIX}{child}. Move or delete them first.",
            reason="CATEGORY_IN_USE",
            metadata={"category": f"{NAME_PREFIX}{child}"},
        )
    if product is not None:
        raise FailedPrecondition(
            f"Products belong to this category, for example {product}. Deleted products count, because they can be "
            "restored. Move them to other categories first.",
            reason="CATEGORY_IN_USE",
            metadata={"product": product},
        )


def checked_title(title: str) -> str:
    """Returns the title of a category if it is valid. Raises InvalidArgument."""
    if violations := title_violations(title, "category.title"):
        raise invalid_fields(violations)
    return title


def id_of(name: str) -> str:
    """Returns the identifier in a category's name."""
    return name.removeprefix(NAME_PREFIX)


def existing(category: Category | None) -> Category:
    """Returns the category. Raises NotFound if there is none."""
    if category is None:
        raise not_found()
    return category


def too_many() -> FailedPrecondition:
    """Returns the error of a new category for which there is no room."""
    return FailedPrecondition(f"There would be more than {CATEGORIES_MAX} categories.", reason="CATEGORIES_TOO_MANY")


def not_found() -> NotFound:
    """Returns the error of a category that does not exist."""
    return NotFound("The category does not exist.", reason="CATEGORY_NOT_FOUND")
