"""The tree of categories."""

from datetime import UTC, datetime

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument
from services.catalog.domain.category import CATEGORIES_MAX, LEVELS_MAX, Category, Tree, check_unused, checked_title

NOW = datetime(2026, 1, 2, tzinfo=UTC)
IDS = st.sampled_from([f"c{number}" for number in range(14)])


class Categories(RuleBasedStateMachine):
    """A tree that is compared with paths: each category's identifiers from the top down to itself."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.parents: dict[str, str | None] = {}
        self.paths: dict[str, tuple[str, ...]] = {}

    @rule(target=ids, category_id=IDS, parent=st.none() | IDS)
    def create(self, category_id: str, parent: str | None) -> str:
        """Creates a category, or is rejected with the reason that the paths in the model predict."""
        path = (*self.paths.get(parent or "", ()), category_id)
        if category_id in self.paths:
            with pytest.raises(AlreadyExists):
                Tree(self.parents).check_new(category_id, parent)
        elif parent is not None and parent not in self.paths:
            with pytest.raises(InvalidArgument):
                Tree(self.parents).check_new(category_id, parent)
        elif len(path) > LEVELS_MAX:
            with pytest.raises(FailedPrecondition, match="levels"):
                Tree(self.parents).check_new(category_id, parent)
        else:
            Tree(self.parents).check_new(category_id, parent)
            self.parents[category_id], self.paths[category_id] = parent, path
        return category_id

    @rule(category_id=ids, parent=st.none() | ids)
    def move(self, category_id: str, parent: str | None) -> None:
        """Moves a category with all below it, unless it would be below itself or the tree too deep."""
        if category_id not in self.paths or (parent is not None and parent not in self.paths):
            return
        above = self.paths.get(parent or "", ())
        old = self.paths[category_id]
        moved = {each: (*above, *path[len(old) - 1 :]) for each, path in self.paths.items() if path[: len(old)] == old}
        if category_id in above:
            with pytest.raises(FailedPrecondition, match="below"):
                Tree(self.parents).check_move(category_id, parent)
        elif max(map(len, moved.values())) > LEVELS_MAX:
            with pytest.raises(FailedPrecondition, match="levels"):
                Tree(self.parents).check_move(category_id, parent)
        else:
            Tree(self.parents).check_move(category_id, parent)
            self.parents[category_id] = parent
            self.paths |= moved

    @rule(category_id=consumes(ids))
    def delete(self, category_id: str) -> None:
        """Deletes a category without any below it."""
        if category_id in self.paths and category_id not in self.parents.values():
            del self.parents[category_id], self.paths[category_id]

    @invariant()
    def the_paths_are_the_trees(self) -> None:
        """Ancestors and subtrees are those of the paths, so that there is no cycle."""
        tree = Tree(self.parents)
        for category_id, path in self.paths.items():
            assert (*tree.ancestors(category_id), category_id) == path
            below = {each for each, other in self.paths.items() if category_id in other}
            assert set(tree.subtree(category_id)) == below


TestCategories = Categories.TestCase


def test_the_number_of_categories_is_limited() -> None:
    """One fewer than the limit leaves room for one."""
    full = Tree({str(number): None for number in range(CATEGORIES_MAX - 1)})
    full.check_new("one", None)
    with pytest.raises(FailedPrecondition, match="2000"):
        full.check_room(2)


def test_the_first_new_categories_fit() -> None:
    """As many as there is room for, beside those that exist; none into a tree that has too many already."""
    tree = Tree({str(number): None for number in range(CATEGORIES_MAX - 2)})
    assert tree.fitting(["b", "7", "c", "a"]) == ["b", "c"]
    assert Tree({str(number): None for number in range(CATEGORIES_MAX + 2)}).fitting(["a", "7"]) == []


def test_an_implied_category_is_named_after_its_identifier() -> None:
    """A category that a product creates is at the top, with a title made of its identifier."""
    implied = Category.implied("garden-tools", NOW)
    assert (implied.title, implied.parent, implied.etag) == ("Garden tools", None, "1")


def test_a_category_in_use_names_what_uses_it() -> None:
    """The message and the metadata name a category below it or a product."""
    check_unused(None, None)
    with pytest.raises(FailedPrecondition, match="categories/saws") as caught:
        check_unused("saws", "products/1")
    assert caught.value.metadata == {"category": "categories/saws"}
    with pytest.raises(FailedPrecondition, match="products/1"):
        check_unused(None, "products/1")


@pytest.mark.parametrize("title", ["", " ", "a\nb", "\0"])
def test_a_title_is_one_line(title: str) -> None:
    """A title is rejected if it is empty or has control characters."""
    with pytest.raises(InvalidArgument):
        checked_title(title)
