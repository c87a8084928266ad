"""Texts that show nothing."""

import unicodedata
from typing import Final

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
"""The general categories of control characters, of characters of format, such as U+200B, and of blanks."""


def is_blank(text: str) -> bool:
    """Returns whether a text is empty, or none of its characters can be seen."""
    return all(unicodedata.category(char) in _INVISIBLE for char in text)
