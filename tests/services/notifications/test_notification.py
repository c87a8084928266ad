"""The names of notifications."""

from services.notifications.domain.notification import notification_uid


def test_a_notification_is_named_by_its_event() -> None:
    """One event always has the same identifier; another id or source has another."""
    events = [("identity", "1"), ("identity", "1"), ("identity", "2"), ("orders", "1")]
    first, again, other, elsewhere = (notification_uid(source, event_id) for source, event_id in events)
    assert first == again
    assert len({first, other, elsewhere}) == 3
