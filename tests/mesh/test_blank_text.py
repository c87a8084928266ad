"""Texts that show nothing."""

import pytest

from mesh.blank_text import is_blank


@pytest.mark.parametrize("text", ["", " ", "\t\n", "\u00a0", "\u200b", "\u200b \u2060", "\ufeff"])
def test_nothing_can_be_seen(text: str) -> None:
    """Blanks of any width and characters of format are blank, also together."""
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", " a ", "\u200ba", "0", ".", "é", "🙂", "\u0301"])
def test_something_can_be_seen(text: str) -> None:
    """One other character is enough."""
    assert not is_blank(text)
