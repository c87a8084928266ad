"""The rules of users: roles, names and scopes."""

import enum
import unicodedata
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from mesh.blank_text import is_blank
from mesh.errors import FieldViolation, InvalidArgument, NotFound, Unauthenticated
from mesh.etag import check_etag
from mesh.resource_name import uid_in

USER_PREFIX = "users/"
ME = "users/me"
SESSIONS = "/sessions/"
DISPLAY_NAME_LENGTH_MAX = 100

# Characters that are not allowed in display names: control characters (including line breaks and NUL), lone surrogates,
# the two separators that break lines, and characters that reorder the text around them.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDIRECTIONAL_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

_CUSTOMER_SCOPES = frozenset(
    {"profile", "orders.read", "orders.write", "payments.read", "support.read", "support.write"}
)


class Role(enum.StrEnum):
    """The role of a user in the shop."""

    CUSTOMER = "customer"
    STAFF = "staff"

    @property
    def scopes(self) -> frozenset[str]:
        """Returns the scopes that may be granted to a user with this role."""
        if self is Role.STAFF:
            return _CUSTOMER_SCOPES | {
                "analytics.read",
                "catalog.write",
                "inventory.read",
                "inventory.write",
                "orders.manage",
                "payments.manage",
                "support.manage",
            }
        return _CUSTOMER_SCOPES


ALL_SCOPES = frozenset(scope for role in Role for scope in role.scopes)


@dataclass(frozen=True, slots=True)
class User:
    """A person with an account. `version` starts at 1 and grows by 1 with every change."""

    uid: UUID
    email: str
    display_name: str
    role: Role
    create_time: datetime
    update_time: datetime
    version: int
    email_confirmed: bool

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return self.name_of(self.uid)

    @staticmethod
    def name_of(uid: UUID) -> str:
        """Returns the resource name of the user with this identifier."""
        return f"{USER_PREFIX}{uid}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    def check_etag(self, etag: str) -> None:
        """Raises Aborted with the current etag if the given etag is that of another version; an empty one matches."""
        check_etag(etag, self.etag, "The user has changed since it was read. Read it again before you change it.")


@dataclass(frozen=True, slots=True)
class Session:
    """A sign-in that has not ended. `user_agent` is what the application called itself when it was last used."""

    id: UUID
    user_uid: UUID
    client_id: str
    user_agent: str
    scopes: Sequence[str]
    create_time: datetime
    last_use_time: datetime
    expire_time: datetime

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{USER_PREFIX}{self.user_uid}{SESSIONS}{self.id}"


def own_session(name: str, subject: str) -> tuple[UUID, UUID]:
    """Returns the caller's identifier and that of the session with this name. Raises NotFound if it can't be one of the
    caller's.
    """
    user, _, session = name.partition(SESSIONS)
    session_id = uid_in(session, "")
    if session_id is None or user not in (ME, subject):
        raise unknown_session()
    return own_uid(user, subject), session_id


def unknown_session() -> NotFound:
    """Returns the error of a session that does not exist, or that the caller may not see."""
    return NotFound("The session has ended, or is not the caller's.", reason="SESSION_NOT_FOUND")


def own_uid(name: str, subject: str) -> UUID:
    """Returns the identifier of the caller if `name` is the caller's. Raises NotFound for any other name, whether or
    not that user exists.
    """
    if not subject.startswith(USER_PREFIX) or name not in (ME, subject):
        raise unknown_user()
    return uid_of(subject)


def uid_of(name: str) -> UUID:
    """Returns the identifier in a resource name. Raises NotFound if no user can have this name."""
    if (uid := uid_in(name, USER_PREFIX)) is None:
        raise unknown_user()
    return uid


def unknown_user() -> NotFound:
    """Returns the error of a user that does not exist, or that the caller may not see."""
    return NotFound("The user does not exist, or is not the caller.", reason="USER_NOT_FOUND")


def account_deleted() -> Unauthenticated:
    """Returns the error of a valid token whose user has been deleted."""
    return Unauthenticated("The account of this access token has been deleted.", reason="ACCOUNT_DELETED")


def may_be_email(text: str) -> bool:
    """Returns whether an account can have this address. By the contract's rules, addresses are printable ASCII."""
    return text.isascii() and text.isprintable()


def checked_display_name(display_name: str, field: str) -> str:
    """Returns the name without surrounding blanks. Raises InvalidArgument with a violation of `field` if the name is
    not allowed.
    """
    name = display_name.strip()
    if is_blank(name):
        raise _invalid_name(field, "must not be empty or blank")
    if len(name) > DISPLAY_NAME_LENGTH_MAX:
        raise _invalid_name(field, f"must have at most {DISPLAY_NAME_LENGTH_MAX} characters")
    if any(unicodedata.category(char) in _FORBIDDEN_CATEGORIES or char in _BIDIRECTIONAL_CONTROLS for char in name):
        raise _invalid_name(field, "must not contain line breaks or control characters")
    return name


def _invalid_name(field: str, description: str) -> InvalidArgument:
    violation = FieldViolation(field, description, "DISPLAY_NAME_INVALID")
    return InvalidArgument(f"{field} {description}.", reason="INVALID_FIELD", violations=[violation])


def narrow(granted: Set[str], wanted: str) -> frozenset[str]:
    """Returns the wanted scopes, a list separated by spaces, or all granted ones if it is empty.

    Raises InvalidArgument (INVALID_SCOPE) if a wanted scope is not granted (RFC 6749, sections 3.3 and 5.2).
    """
    scopes = frozenset(wanted.split(" ")) - {""}
    if beyond := scopes - granted:
        description = f"may only have the scopes {' '.join(sorted(granted))}" if granted else "must be left out"
        violation = FieldViolation("scope", description, "SCOPE_NOT_GRANTED")
        raise InvalidArgument(
            f"The scope {min(beyond)!r} is unknown or not granted.", reason="INVALID_SCOPE", violations=[violation]
        )
    return scopes or frozenset(granted)
