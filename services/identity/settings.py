"""The settings of the identity service."""

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError, model_validator
from pydantic_settings import NoDecode

from mesh.email_address import LENGTH_MAX, LOCAL_PART_LENGTH_MAX, is_email_address
from mesh.settings import DatabaseSettings, EventSettings, HttpUrl, ServiceSettings
from services.identity.keys import ACCESS_TOKEN_LIFETIME_S_MAX, PUBLISHED_AFTER

DAY_S = 24 * 3600
ROTATION_S_MIN = int(PUBLISHED_AFTER.total_seconds())

ClientId = Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,62}$")]
RedirectUri = Annotated[
    str,
    Field(
        max_length=2000,
        pattern=r"^(https://[A-Za-z0-9.\-]+(:[0-9]{1,5})?(/[!$-;=?-Z_a-z~]*)?"
        r"|http://(127\.0\.0\.1|\[::1\]|localhost)(:[0-9]{1,5})?(/[!$-;=?-Z_a-z~]*)?"
        r"|/([!$-.0-;=?-Z_a-z~][!$-;=?-Z_a-z~]*)?)$",
    ),
]
"""The start of a URI without a fragment. Without TLS only this machine is safe (RFC 9700, section 2.6)."""

ClientSecret = Annotated[str, Field(pattern=r"^[A-Za-z0-9\-._~]{16,}$")]
"""A secret of unreserved characters of URLs, which is the same whether or not a client form-encodes it."""


def _clients(value: object) -> object:
    """Parses the JSON of SERVICE_CLIENTS."""
    if not isinstance(value, str):
        return value
    try:
        return TypeAdapter(dict[ClientId, ClientSecret]).validate_json(value)
    except ValidationError:
        raise ValueError(
            "must be a JSON object of client ids, such as notifications, and their secrets, each with at least 16 "
            "letters, digits and -._~"
        ) from None


def _browser_clients(value: object) -> object:
    """Parses the JSON of BROWSER_CLIENTS."""
    if not isinstance(value, str):
        return value
    try:
        return TypeAdapter(dict[ClientId, list[RedirectUri]]).validate_json(value)
    except ValidationError:
        raise ValueError(
            "must be a JSON object of client ids and lists of their redirect URIs, each https://… without a fragment, "
            "http:// with 127.0.0.1, [::1] or localhost, or a path of the mesh itself that begins with /"
        ) from None


def _email_address(value: str) -> str:
    if not is_email_address(value):
        raise ValueError(
            f"must be an address of at most {LENGTH_MAX} characters, with at most {LOCAL_PART_LENGTH_MAX} before the @"
        )
    return value


BrowserClientUris = Annotated[dict[str, list[str]], NoDecode, BeforeValidator(_browser_clients)]
ServiceClients = Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(_clients)]
EmailAddress = Annotated[str, AfterValidator(_email_address)]


class IdentitySettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of the identity service. `token_issuer` is the public URL of the mesh, with which its other public
    URLs begin.
    """

    token_issuer: HttpUrl = Field(
        description="the public URL of the mesh, which its tokens name", examples=["https://shop.example.com"]
    )
    key_encryption_secret: SecretStr = Field(
        min_length=32,
        description="the secret that encrypts the signing keys in the database",
        examples=["the output of `openssl rand -base64 32`, the same for all replicas"],
    )
    service_clients: ServiceClients = Field(
        default_factory=dict,
        description="the workloads that may obtain tokens of their own, each with its secret",
        examples=['{"notifications": "a-secret-of-16-characters-or-more"}'],
    )
    browser_clients: BrowserClientUris = Field(
        default_factory=dict,
        description="the browser applications in which users sign in by a code, with their redirect URIs",
        examples=['{"shop": ["https://shop.example.com/signed-in"]}'],
    )
    password_grant: bool = Field(
        False,
        description="whether the token endpoint accepts users' passwords themselves, which RFC 9700 forbids",
        examples=["false"],
    )
    staff_email: EmailAddress | None = Field(
        None,
        description="the e-mail address of the staff account, which is created at the first start",
        examples=["staff@example.com"],
    )
    staff_password: SecretStr | None = Field(
        None, min_length=8, max_length=128, description="its password", examples=["8 to 128 characters"]
    )
    access_token_lifetime_s: int = Field(
        900, ge=60, le=ACCESS_TOKEN_LIFETIME_S_MAX, description="how long an access token is valid", examples=[900]
    )
    refresh_token_lifetime_s: int = Field(
        30 * DAY_S, ge=3600, le=365 * DAY_S, description="how long a refresh token is valid", examples=[30 * DAY_S]
    )
    signing_key_rotation_s: int = Field(
        30 * DAY_S,
        ge=ROTATION_S_MIN,
        le=365 * DAY_S,
        description="the age at which a signing key is replaced",
        examples=[30 * DAY_S],
    )
    password_workers: int = Field(
        2, ge=1, le=64, description="how many passwords are hashed at the same time", examples=[2]
    )

    @model_validator(mode="after")
    def _staff_is_whole(self) -> Self:
        if (self.staff_email is None) != (self.staff_password is None):
            raise ValueError("STAFF_EMAIL and STAFF_PASSWORD must both be set, or neither")
        return self

    @property
    def refresh_token_lifetime(self) -> timedelta:
        """Returns the time for which a refresh token is valid."""
        return timedelta(seconds=self.refresh_token_lifetime_s)

    @property
    def signing_key_rotation(self) -> timedelta:
        """Returns the age at which a signing key is replaced."""
        return timedelta(seconds=self.signing_key_rotation_s)
