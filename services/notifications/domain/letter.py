"""The content of a mail."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Letter:
    """The content of a mail, in plain text."""

    subject: str
    text: str
