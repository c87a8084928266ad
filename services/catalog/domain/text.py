"""The rules of texts that staff writes. The contract's rules on their lengths are checked earlier."""

import unicodedata

from mesh.blank_text import is_blank
from mesh.errors import FieldViolation

# Control characters (including NUL, which PostgreSQL can't store) and the separators of lines and paragraphs.
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_LAYOUT = frozenset("\n\r\t")


def title_violations(title: str, field: str) -> list[FieldViolation]:
    """Returns what is wrong with a title: it is one line, and not empty."""
    if is_blank(title):
        return [required(field)]
    if any(_is_control(char) for char in title):
        return [FieldViolation(field, "must not contain line breaks or control characters", "TEXT_INVALID")]
    return []


def text_violations(text: str, field: str) -> list[FieldViolation]:
    """Returns what is wrong with a text of any number of lines."""
    if any(_is_control(char) and char not in _LAYOUT for char in text):
        problem = "must not contain control characters other than line breaks and tabs"
        return [FieldViolation(field, problem, "TEXT_INVALID")]
    return []


def required(field: str) -> FieldViolation:
    """Returns the violation of a field that must be given."""
    return FieldViolation(field, "is required", "REQUIRED")


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in _CONTROL_CATEGORIES
