"""The settings of the identity service."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, Json, SecretStr, StringConstraints, model_validator

from mesh.settings import DatabaseSettings, EventSettings, HttpUrl, ServiceSettings
from services.identity.keys import ACCESS_TOKEN_LIFETIME_S_MAX, PUBLISHED_AFTER

DAY_S = 24 * 3600
ROTATION_S_MIN = int(PUBLISHED_AFTER.total_seconds())


def _printable_secret(secret: SecretStr) -> SecretStr:
    """The unreserved characters of URLs: whether a client form-encodes its secret or not, it sends the same."""
    text = secret.get_secret_value()
    if len(text) < 16 or not all(char.isascii() and (char.isalnum() or char in "-._~") for char in text):
        raise ValueError("a client's secret must have at least 16 characters, of letters, digits and -._~")
    return secret


ClientId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
ClientSecret = Annotated[SecretStr, AfterValidator(_printable_secret)]


class IdentitySettings(ServiceSettings, DatabaseSettings, EventSettings):
    """What identity needs. `token_issuer` is the public URL of the mesh: the other public URLs begin with it."""

    token_issuer: HttpUrl = Field(examples=["https://shop.example.com"])
    key_encryption_secret: SecretStr = Field(
        min_length=32, examples=["the output of `openssl rand -base64 32`, the same for all replicas"]
    )
    service_clients: Json[dict[ClientId, ClientSecret]] = Field(
        default_factory=dict,
        validate_default=False,
        examples=['{"notifications": "a-secret-of-16-characters-or-more"}'],
    )
    staff_email: str | None = Field(
        None, max_length=254, pattern=r"^[!-?A-~]+@[!-?A-~]+$", examples=["staff@example.com"]
    )
    staff_password: SecretStr | None = Field(None, min_length=8, max_length=128, examples=["8 to 128 characters"])
    access_token_lifetime_s: int = Field(900, ge=60, le=ACCESS_TOKEN_LIFETIME_S_MAX, examples=[900])
    refresh_token_lifetime_s: int = Field(30 * DAY_S, ge=3600, le=365 * DAY_S, examples=[30 * DAY_S])
    signing_key_rotation_s: int = Field(30 * DAY_S, ge=ROTATION_S_MIN, le=365 * DAY_S, examples=[30 * DAY_S])
    password_workers: int = Field(2, ge=1, le=64, examples=[2])

    @model_validator(mode="after")
    def _staff_is_whole(self) -> Self:
        if (self.staff_email is None) != (self.staff_password is None):
            raise ValueError("STAFF_EMAIL and STAFF_PASSWORD must be set both or neither")
        return self

    @property
    def refresh_token_lifetime(self) -> timedelta:
        """How long a refresh token can be used."""
        return timedelta(seconds=self.refresh_token_lifetime_s)

    @property
    def signing_key_rotation(self) -> timedelta:
        """How old a signing key becomes."""
        return timedelta(seconds=self.signing_key_rotation_s)
