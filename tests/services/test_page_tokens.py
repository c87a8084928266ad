"""The length of the tokens of pages and streams, of every service."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest

import services
from mesh.position import TOKEN_LENGTH_MAX, Key, decode, encode, fingerprint
from services.catalog import storage
from services.catalog.listing import Listing
from services.catalog.order_by import FIELDS, FIRST_OF_TWO

UID = UUID(int=7)
QUERY = fingerprint(["query"])

# The longest values that contracts and domains allow, in UTF-8.
TITLE = "🪚" * 200
CATEGORY = "c" * 64
LATEST = datetime.max.replace(tzinfo=UTC)
OF_PRODUCTS: Mapping[str, Key] = {
    "title": TITLE,
    "category": CATEGORY,
    "price": 10**9,
    "create_time": LATEST,
    "update_time": LATEST,
}
ORDERS = [*FIELDS, *(f"{FIRST_OF_TWO}, {field}" for field in FIELDS if field != FIRST_OF_TWO)]
LONGEST: Mapping[str, tuple[Key, ...]] = {
    "services.catalog.category_storage": (CATEGORY,),
    "services.inventory.storage": (f"products/{UID}",),
    "services.support.presence_storage": (f"users/{UID}",),
    **{f"products by {order}": (*(OF_PRODUCTS[field] for field in order.split(", ")), UID) for order in ORDERS},
}


def modules_with_text() -> Iterator[str]:
    """Yields the modules with SQL that declare a sort key with text."""
    for found in pkgutil.walk_packages(services.__path__, "services."):
        if "storage" in found.name:
            declared = vars(importlib.import_module(found.name)).items()
            if any(str in value for name, value in declared if name.endswith("KEY_TYPES")):
                yield found.name


def test_every_sort_key_with_text_is_listed_here() -> None:
    """A new sort key with text needs its longest value. Other sort keys are short."""
    assert {name for name in LONGEST if name.startswith("services.")} == set(modules_with_text())
    for order in ORDERS:
        key_types = storage.key_types(Listing.read("", order, show_deleted=False))
        assert key_types == [type(part) for part in LONGEST[f"products by {order}"]]


@pytest.mark.parametrize("key", LONGEST.values(), ids=LONGEST)
def test_the_longest_token_is_accepted(key: tuple[Key, ...]) -> None:
    """A token that a service makes is not longer than what its contract accepts, and leads back to its key."""
    token = encode(QUERY, key)
    assert len(token) <= TOKEN_LENGTH_MAX
    assert decode(QUERY, token, [type(part) for part in key]) == key
