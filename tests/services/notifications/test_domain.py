"""Normalised addresses, and the names of notifications."""

import pytest

from services.notifications.domain import mailbox, notification_uid


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


def test_a_notification_is_named_by_its_event() -> None:
    """One event always has the same identifier; another id or source has another."""
    events = [("identity", "1"), ("identity", "1"), ("identity", "2"), ("orders", "1")]
    first, again, other, elsewhere = (notification_uid(source, event_id) for source, event_id in events)
    assert first == again
    assert len({first, other, elsewhere}) == 3
