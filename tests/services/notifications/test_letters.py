"""The templates of letters."""

from pathlib import Path

import pytest

from services.notifications.domain.notification import Kind
from services.notifications.letters import Letters


def test_a_letter_is_made_of_its_template(tmp_path: Path) -> None:
    """Values replace the names in subject and text."""
    for kind in Kind:
        (tmp_path / f"{kind.value}.txt").write_text("Subject: About $what\n\nHello ${what}.\n\nBye.\n")
    letter = Letters(tmp_path).write(Kind.WELCOME, what="$this")
    assert (letter.subject, letter.text) == ("About $this", "Hello $this.\n\nBye.\n")


def test_a_value_that_is_missing_is_an_error() -> None:
    """No letter leaves the shop with a hole in it."""
    with pytest.raises(KeyError):
        Letters().write(Kind.ORDER_CANCELLED, number="1")


@pytest.mark.parametrize("text", ["Hello", "Subject: Hello\n\n$", "Subject: $\n\nHello", "\n\nSubject: Hello"])
def test_a_malformed_template_is_found_at_the_start(tmp_path: Path, text: str) -> None:
    """The error names the file."""
    for kind in Kind:
        (tmp_path / f"{kind.value}.txt").write_text(text)
    with pytest.raises(ValueError, match=r"\.txt must have"):
        Letters(tmp_path)


def test_a_missing_template_is_found_at_the_start(tmp_path: Path) -> None:
    """Every kind of notification has one."""
    with pytest.raises(FileNotFoundError):
        Letters(tmp_path)
