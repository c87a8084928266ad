"""The settings of the identity service."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated

from msgspec import Meta

from mesh.email_address import LENGTH_MAX as EMAIL_LENGTH_MAX
from mesh.email_address import PATTERN as EMAIL_PATTERN
from mesh.settings import DatabaseSettings, EventSettings, HttpUrl, ServiceSettings, count, example
from services.identity.keys import ACCESS_TOKEN_LIFETIME_S_MAX, PUBLISHED_AFTER

DAY_S = 24 * 3600
ROTATION_S_MIN = int(PUBLISHED_AFTER.total_seconds())

ClientId = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,62}\Z")]
ClientSecret = Annotated[str, Meta(pattern=r"^[A-Za-z0-9\-._~]{16,}\Z")]
"""The unreserved characters of URLs: whether a client form-encodes its secret or not, it sends the same."""

ServiceClients = Annotated[
    dict[ClientId, ClientSecret],
    Meta(
        description="must be a JSON object of client ids, such as notifications, and their secrets, each at least 16 "
        "letters, digits and -._~",
        examples=['{"notifications": "a-secret-of-16-characters-or-more"}'],
    ),
]


@dataclass(frozen=True, kw_only=True)
class IdentitySettings(ServiceSettings, DatabaseSettings, EventSettings):
    """What identity needs. `token_issuer` is the public URL of the mesh: the other public URLs begin with it."""

    token_issuer: Annotated[HttpUrl, example("https://shop.example.com")]
    key_encryption_secret: Annotated[
        str,
        Meta(min_length=32, description="must have at least 32 characters"),
        example("the output of `openssl rand -base64 32`, the same for all replicas"),
    ] = field(repr=False)
    service_clients: ServiceClients = field(default_factory=dict, repr=False)
    staff_email: Annotated[
        Annotated[str, Meta(max_length=EMAIL_LENGTH_MAX, pattern=rf"^{EMAIL_PATTERN}\Z")] | None,
        Meta(description="must be an address of at most 254 characters", examples=["staff@example.com"]),
    ] = None
    staff_password: Annotated[
        Annotated[str, Meta(min_length=8, max_length=128)] | None,
        Meta(description="must have 8 to 128 characters", examples=["8 to 128 characters"]),
    ] = field(default=None, repr=False)
    access_token_lifetime_s: Annotated[int, count(60, ACCESS_TOKEN_LIFETIME_S_MAX), example(900)] = 900
    refresh_token_lifetime_s: Annotated[int, count(3600, 365 * DAY_S), example(30 * DAY_S)] = 30 * DAY_S
    signing_key_rotation_s: Annotated[int, count(ROTATION_S_MIN, 365 * DAY_S), example(30 * DAY_S)] = 30 * DAY_S
    password_workers: Annotated[int, count(1, 64), example(2)] = 2

    def __post_init__(self) -> None:
        if (self.staff_email is None) != (self.staff_password is None):
            raise ValueError("STAFF_EMAIL and STAFF_PASSWORD must be set both or neither")

    @property
    def refresh_token_lifetime(self) -> timedelta:
        """How long a refresh token can be used."""
        return timedelta(seconds=self.refresh_token_lifetime_s)

    @property
    def signing_key_rotation(self) -> timedelta:
        """How old a signing key becomes."""
        return timedelta(seconds=self.signing_key_rotation_s)
