"""What the mails say, and how notifications are named."""

import pytest

from services.notifications.domain import notification_uid, welcome


def test_a_letter_greets_by_name() -> None:
    """The name stands after the greeting, on one line whatever blanks it has."""
    assert welcome("Ada Lovelace").text.startswith("Hello Ada Lovelace,\n")
    assert welcome(" Ada\r\n\nBcc: eve ").text.startswith("Hello Ada Bcc: eve,\n")


@pytest.mark.parametrize("name", ["J. R. R. Tolkien", "O'Neil", "Jürgen", "李小龍", "Anna-Lena, Dr."])
def test_names_with_signs_are_greeted(name: str) -> None:
    """What is no link is a name."""
    assert welcome(name).text.startswith(f"Hello {name},\n")


@pytest.mark.parametrize(
    "name", ["", "  ", "win at http://shop.test", "cheap-pills.com", "www.shop", "mail eve@test", "a.b/c"]
)
def test_a_name_that_could_be_a_link_is_left_out(name: str) -> None:
    """A stranger's advertisement is not repeated to the address that was given with it."""
    assert welcome(name).text.startswith("Hello,\n")


def test_a_notification_is_named_by_its_event() -> None:
    """The same event gives the same identifier; another id or another source gives another."""
    events = [("identity", "1"), ("identity", "1"), ("identity", "2"), ("orders", "1")]
    first, again, other, elsewhere = (notification_uid(source, event_id) for source, event_id in events)
    assert first == again
    assert len({first, other, elsewhere}) == 3
