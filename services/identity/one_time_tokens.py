"""One-time tokens: what a mail contains so that its reader can confirm the address or reset the password.

docs/decisions/0042-one-time-tokens.md describes the design.
"""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from mesh.errors import InvalidArgument, NotFound


class Purpose(enum.StrEnum):
    """The purpose of a token."""

    CONFIRM_EMAIL = "confirm_email"
    CHANGE_EMAIL = "change_email"
    RESET_PASSWORD = "reset_password"

    @property
    def lifetime(self) -> timedelta:
        """Returns how long a token is valid."""
        return timedelta(minutes=30) if self is Purpose.RESET_PASSWORD else timedelta(days=3)

    @property
    def page(self) -> str:
        """Returns the path of the page that uses the token."""
        return "/v1/account/resetPassword" if self is Purpose.RESET_PASSWORD else "/v1/account/confirmEmail"


@dataclass(frozen=True, slots=True)
class OneTimeToken:
    """A token that was not used yet. `email` is the address that it was mailed to."""

    id: UUID
    user_uid: UUID
    purpose: Purpose
    email: str
    expire_time: datetime


def unusable_token() -> InvalidArgument:
    """Returns the error of a token that is forged, expired or used, or was mailed for another purpose."""
    return InvalidArgument(
        "The link is not valid: it has expired or was used before. Ask for a new one.", reason="ONE_TIME_TOKEN_INVALID"
    )


def unknown_token() -> NotFound:
    """Returns the error of an identifier that no usable token has."""
    return NotFound("The token has been used or has expired, or its user is gone.", reason="ONE_TIME_TOKEN_NOT_FOUND")
