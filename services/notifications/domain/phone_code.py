"""The code that verifies a phone number."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final, Self

from mesh.errors import FieldViolation, InvalidArgument, ResourceExhausted

VALID_FOR: Final = timedelta(minutes=10)
ATTEMPTS_MAX: Final = 5
CODES_MAX: Final = 5
CODES_PER: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class PhoneCode:
    """A code that was sent to a phone number, as a hash."""

    user: str
    phone_number: str
    code_hash: bytes
    expire_time: datetime
    attempts_left: int = ATTEMPTS_MAX

    @classmethod
    def create(cls, user: str, phone_number: str, code_hash: bytes, now: datetime) -> Self:
        """Returns a new code."""
        return cls(user, phone_number, code_hash, now + VALID_FOR)

    def accepts(self, code_hash: bytes, now: datetime) -> bool:
        """Returns whether a code is this one, and can still be used."""
        return self.attempts_left > 0 and now < self.expire_time and compare_digest(self.code_hash, code_hash)

    def failed(self) -> Self:
        """Returns it after a wrong code."""
        return replace(self, attempts_left=self.attempts_left - 1)


def wrong_code() -> InvalidArgument:
    """Returns the error about a code that is wrong, expired, or was tried too often."""
    violation = FieldViolation("code", "is wrong or has expired; have a new one sent", "PHONE_CODE_WRONG")
    return InvalidArgument("The code is wrong or has expired.", reason="PHONE_CODE_WRONG", violations=[violation])


def too_many_codes() -> ResourceExhausted:
    """Returns the error about a user or a number that had as many codes as allowed."""
    return ResourceExhausted(
        f"At most {CODES_MAX} codes are sent within a day.",
        reason="TOO_MANY_PHONE_CODES",
        retry_after_s=CODES_PER.total_seconds(),
    )
