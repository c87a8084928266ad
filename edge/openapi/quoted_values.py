"""Values that the comment on a field quotes: `in the form "orders/{uid}"`, `for example "garden-tools"`."""

import re
from typing import Final

UUID: Final = "f81d4fae-7dec-41d0-a765-00a0c91e6bf6"

# Values in backquotes are often names of fields, except those with variables.
_QUOTED: Final = re.compile(
    r"\b(?:in\s+the\s+form(?:\s+of)?|for\s+example|such\s+as|always|format(?:\s+is)?:?)\s+"
    r"(?:\"(?P<text>[^\"\s]{1,100})\"|`(?P<form>[^`{\s]*\{[^`\s]{1,100})`)",
    re.IGNORECASE,
)
_UUID: Final = re.compile(r"\b[Aa]\s+UUID\b")
_PLACEHOLDER: Final = re.compile(r"\{([^{}=]*)(?:=[^{}]*)?\}")
_PLACEHOLDERS: Final = {"uid": UUID, "uuid": UUID, "id": "example", "number": "1", "base64": "aGVsbG8="}


def quoted_value(comment: str) -> str | None:
    """Returns the first value that a comment quotes, with values in the place of its variables; a UUID if the comment
    asks for one. None if it quotes no value.
    """
    if (found := _QUOTED.search(comment)) is not None:
        return _PLACEHOLDER.sub(lambda variable: _placed(variable[1]), found["text"] or found["form"])
    return UUID if _UUID.search(comment) else None


def _placed(variable: str) -> str:
    """Returns a value of a variable by its name: "my-topic" for {topic}."""
    return _PLACEHOLDERS.get(variable) or f"my-{variable.replace('_', '-').lower()}"
