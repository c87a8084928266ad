"""The parameters of a list request."""

import pytest

from mesh.errors import InvalidArgument
from services.catalog.filter import Comparison
from services.catalog.listing import Listing
from services.catalog.order_by import SortKey


def test_a_listing_has_a_filter_and_an_order() -> None:
    """Both are parsed, and page tokens are bound to their texts."""
    listing = Listing.read("title = a", "price", show_deleted=True)
    assert listing.expression == Comparison("title", "=", "a")
    assert (listing.order, listing.show_deleted) == ((SortKey("price"),), True)
    others = [("title = b", "price", True), ("title = a", "", True), ("title = a", "price", False)]
    queries = {Listing.read(text, order, show_deleted=deleted).query for text, order, deleted in others}
    assert len({listing.query, *queries}) == 4


def test_the_faults_of_both_are_named() -> None:
    """One error has the violations of the filter and of the order."""
    with pytest.raises(InvalidArgument) as caught:
        Listing.read("weight = 1", "weight", show_deleted=False)
    assert [violation.field for violation in caught.value.violations] == ["filter", "order_by"]
