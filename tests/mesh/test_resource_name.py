"""Names of resources."""

from uuid import UUID

import pytest

from mesh.resource_name import uid_in

UID = UUID("00000000-0000-4000-8000-00000000abcd")


def test_a_name_holds_its_identifier() -> None:
    """The identifier is what follows the prefix."""
    assert uid_in(f"orders/{UID}", "orders/") == UID


@pytest.mark.parametrize(
    "name", ["", "orders/", "orders/1", f"users/{UID}", f"{UID}", f"orders/{UID.hex}", f"orders/{str(UID).upper()}"]
)
def test_an_impossible_name_has_no_identifier(name: str) -> None:
    """Other prefixes and other spellings of the identifier are not accepted."""
    assert uid_in(name, "orders/") is None
