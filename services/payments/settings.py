"""The settings of the payments service."""

from datetime import timedelta
from urllib.parse import urljoin

from pydantic import Field, SecretStr

from mesh.settings import DatabaseSettings, EventSettings, HttpUrlOrEmpty, ServiceSettings
from services.payments.risk import Limits


class PaymentsSettings(ServiceSettings, DatabaseSettings, EventSettings):
    """The settings of a service with a database and events, which charges by the sandbox provider."""

    provider_report_secret: SecretStr = Field(
        min_length=16, description="the secret by which the payment provider signs its reports"
    )
    provider_report_url: HttpUrlOrEmpty = Field(
        default="",
        description="the URL to which the sandbox provider sends its reports; if empty, that of the edge at which "
        "JWKS_URL is",
        examples=["https://shop.example.com/v1/payments:report"],
    )
    default_payment_method: str = Field(
        default="card_ok",
        pattern="^[a-z0-9_]{1,64}$",
        description="the payment method that is charged for orders that name none",
    )
    payment_time_max_s: float = Field(
        default=90.0, ge=1, le=86400, description="how long the provider may leave a payment undecided, in seconds"
    )
    risk_amount_max: float = Field(
        default=10_000.0,
        ge=0,
        allow_inf_nan=False,
        description="the highest amount of a payment that staff need not decide on",
    )
    risk_payments_per_hour_max: int = Field(
        default=10_000,
        ge=1,
        description="the highest number of payments of a customer in an hour that staff need not decide on",
    )

    @property
    def report_url(self) -> str:
        """Returns the URL to which the sandbox sends its reports."""
        return self.provider_report_url or urljoin(self.jwks_url, "/v1/payments:report")

    @property
    def payment_time_max(self) -> timedelta:
        """Returns how long the provider may leave a payment undecided."""
        return timedelta(seconds=self.payment_time_max_s)

    @property
    def risk_limits(self) -> Limits:
        """Returns the thresholds of the risk check."""
        return Limits(round(self.risk_amount_max * 100), self.risk_payments_per_hour_max)
