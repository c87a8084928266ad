"""The preferences of a user: the channels on which they are notified of each kind of thing."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, Self

from mesh.errors import FieldViolation, NotFound, invalid_fields
from mesh.etag import check_etag
from services.notifications.domain.notification import Channel, Kind

SUFFIX: Final = "/notificationPreferences"
ME: Final = "users/me"
CHOOSABLE: Final = (Kind.ORDER_CONFIRMED, Kind.ORDER_SHIPPED, Kind.ORDER_CANCELLED, Kind.REFUND_ISSUED)
DEFAULT: Final = frozenset({Channel.IN_APP, Channel.EMAIL})


@dataclass(frozen=True, slots=True)
class Preferences:
    """The preferences of a user ("users/{uid}"). `channels` has the kinds that differ from the default. `phone_number`
    is verified, "" if there is none. `version` is 0 if nothing was ever chosen.
    """

    user: str
    channels: Mapping[Kind, Set[Channel]] = field(default_factory=lambda: MappingProxyType({}))
    phone_number: str = ""
    update_time: datetime | None = None
    version: int = 0

    @property
    def name(self) -> str:
        """Returns the resource name."""
        return f"{self.user}{SUFFIX}"

    @property
    def etag(self) -> str:
        """Returns the identifier of this version."""
        return str(self.version)

    def chosen(self, kind: Kind) -> Set[Channel]:
        """Returns the channels that the user wants for a kind of thing."""
        return self.channels.get(kind, DEFAULT)

    def channels_for(self, kind: Kind) -> Set[Channel]:
        """Returns the channels on which the user is notified of a kind of thing. SMS needs a phone number."""
        chosen = self.chosen(kind)
        return chosen if self.phone_number else chosen - {Channel.SMS}

    def update(self, channels: Mapping[Kind, Set[Channel]], phone_number: str, *, etag: str, now: datetime) -> Self:
        """Returns them with these channels; itself if nothing changes. Raises Aborted if `etag` is given and stale, and
        InvalidArgument if the phone number is another one, which nobody has verified.
        """
        check_etag(etag, self.etag, "The preferences have changed. Read them again, then decide.")
        if phone_number not in ("", self.phone_number):
            violation = FieldViolation(
                "notification_preferences.phone_number", "can be cleared only; verify a new one", "PHONE_NOT_VERIFIED"
            )
            raise invalid_fields([violation])
        differing = {kind: frozenset(chosen) for kind, chosen in channels.items() if chosen != DEFAULT}
        if (differing, phone_number) == (self.channels, self.phone_number):
            return self
        return replace(self, channels=differing, phone_number=phone_number)._changed(now)

    def with_phone_number(self, phone_number: str, now: datetime) -> Self:
        """Returns them with a phone number that the user has verified."""
        return replace(self, phone_number=phone_number)._changed(now)

    def _changed(self, now: datetime) -> Self:
        return replace(self, update_time=now, version=self.version + 1)


def own_user(name: str, subject: str) -> str:
    """Returns the user of preferences with this name. Raises NotFound if that is not the caller."""
    user = name.removesuffix(SUFFIX)
    if not name.endswith(SUFFIX) or user not in (ME, subject):
        raise NotFound("The preferences do not exist.", reason="PREFERENCES_NOT_FOUND")
    return subject
