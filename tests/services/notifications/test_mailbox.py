"""Normalised addresses."""

import pytest

from services.notifications.domain.mailbox import mailbox


@pytest.mark.parametrize(
    ("address", "same"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ada+shop@example.com", "ada@example.com"),
        ("a.d.a+x@gmail.com", "ada@gmail.com"),
        ("a.da@example.com", "a.da@example.com"),
        ("+ada@example.com", "+ada@example.com"),
    ],
)
def test_spellings_of_one_mailbox_count_as_one(address: str, same: str) -> None:
    """Case and subaddresses are ignored, and dots where the provider ignores them."""
    assert mailbox(address) == same
