"""The errors of calls whose access token is not accepted."""

from typing import Final

from mesh.errors import Unauthenticated

INVALID: Final = "TOKEN_INVALID"
REVOKED: Final = "TOKEN_REVOKED"


def invalid() -> Unauthenticated:
    """Returns the error for a token that is malformed, or not of the issuer, or for another audience."""
    return Unauthenticated("The access token is not valid.", reason=INVALID)


def expired() -> Unauthenticated:
    """Returns the error for a token that has expired."""
    return Unauthenticated("The access token has expired. Get a new one.", reason="TOKEN_EXPIRED")


def revoked() -> Unauthenticated:
    """Returns the error for a token that ended before it expired."""
    return Unauthenticated("The access token was revoked, or its user is gone. Sign in again.", reason=REVOKED)
