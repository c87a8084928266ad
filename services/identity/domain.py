"""What a user is and may do, whatever the transport and the database."""

import enum
import unicodedata
from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mesh.errors import FieldViolation, InvalidArgument, NotFound, Unauthenticated
from mesh.etag import check_etag
from mesh.resource_name import uid_in

USER_PREFIX = "users/"
ME = "users/me"
DISPLAY_NAME_LENGTH_MAX = 100

# What has no place in a name that is shown and mailed: controls (line breaks and NUL among them), lone surrogates, the
# two separators that break lines, and what reorders the text around it.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDIRECTIONAL_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_CUSTOMER_SCOPES = frozenset({"profile", "orders.read", "orders.write"})


class Role(enum.StrEnum):
    """What a user may do in the shop."""

    CUSTOMER = "customer"
    STAFF = "staff"

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that a token of such a user may have."""
        if self is Role.STAFF:
            return _CUSTOMER_SCOPES | {"catalog.write", "orders.manage"}
        return _CUSTOMER_SCOPES


ALL_SCOPES = frozenset(scope for role in Role for scope in role.scopes)


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account. `version` counts the changes, from 1."""

    uid: UUID
    email: str
    display_name: str
    role: Role
    create_time: datetime
    update_time: datetime
    version: int

    @property
    def name(self) -> str:
        """The resource name."""
        return f"{USER_PREFIX}{self.uid}"

    @property
    def etag(self) -> str:
        """The identifier of this version."""
        return str(self.version)

    def check_etag(self, etag: str) -> None:
        """Raises Aborted with the current etag if the caller has seen another version; an empty etag says nothing."""
        check_etag(etag, self.etag, "The user has changed meanwhile. Get it again, then repeat the change.")


def own_uid(name: str, subject: str) -> UUID:
    """The identifier of the caller, if `name` is the caller's.

    Whether a user of another name exists is nobody else's business: it is NotFound either way.
    """
    if not subject.startswith(USER_PREFIX) or name not in (ME, subject):
        raise unknown_user()
    return uid_of(subject)


def uid_of(name: str) -> UUID:
    """The identifier in a resource name. Raises NotFound if no user can have this name."""
    if (uid := uid_in(name, USER_PREFIX)) is None:
        raise unknown_user()
    return uid


def unknown_user() -> NotFound:
    """There is no such user, or the caller may not know."""
    return NotFound("There is no such user, or it is not yours.", reason="USER_NOT_FOUND")


def account_deleted() -> Unauthenticated:
    """The token is genuine, but its user is gone."""
    return Unauthenticated("The account of this access token has been deleted.", reason="ACCOUNT_DELETED")


def may_be_email(text: str) -> bool:
    """Whether an account could have this address: all addresses are printable ASCII, by the contract's rule."""
    return text.isascii() and text.isprintable()


def checked_display_name(display_name: str, field: str) -> str:
    """The name without surrounding blanks. Raises InvalidArgument with a violation of `field` if it can't be shown."""
    name = display_name.strip()
    if not name:
        raise _wrong_name(field, "must have a character that can be seen")
    if len(name) > DISPLAY_NAME_LENGTH_MAX:
        raise _wrong_name(field, f"must have at most {DISPLAY_NAME_LENGTH_MAX} characters")
    if any(unicodedata.category(char) in _FORBIDDEN_CATEGORIES or char in _BIDIRECTIONAL_CONTROLS for char in name):
        raise _wrong_name(field, "must not have line breaks or control characters")
    return name


def _wrong_name(field: str, description: str) -> InvalidArgument:
    violation = FieldViolation(field, description, "DISPLAY_NAME_INVALID")
    return InvalidArgument(f"{field} {description}.", reason="INVALID_FIELD", violations=[violation])


def narrow(granted: Set[str], wanted: str) -> frozenset[str]:
    """The scopes wanted (with a space between two) of those granted; all of them if none is named.

    Raises InvalidArgument (INVALID_SCOPE) if one is not granted (RFC 6749, sections 3.3 and 5.2).
    """
    scopes = frozenset(wanted.split(" ")) - {""}
    if beyond := scopes - granted:
        description = f"must only name scopes of {' '.join(sorted(granted))}" if granted else "must be left out"
        violation = FieldViolation("scope", description, "SCOPE_NOT_GRANTED")
        raise InvalidArgument(
            f"The scope {min(beyond)!r} is unknown or not granted.", reason="INVALID_SCOPE", violations=[violation]
        )
    return scopes or frozenset(granted)
