"""The risk check: rules that an authorised payment must keep, or wait for a decision by staff."""

from collections.abc import Set
from dataclasses import dataclass

from mesh.money import Money
from services.payments.domain import Finding


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of the rules."""

    amount_max_hundredths: int
    payments_per_hour_max: int


@dataclass(frozen=True, slots=True)
class History:
    """The earlier payments of a customer: their number within an hour, and the currencies of captured ones."""

    payments_last_hour: int
    currencies: Set[str]


def check(amount: Money, history: History, limits: Limits) -> list[Finding]:
    """Returns the rules that a payment breaks, each with an explanation."""
    findings = []
    if amount.hundredths > limits.amount_max_hundredths:
        explanation = (
            f"The amount is {amount.hundredths / 100:.2f} {amount.currency}, more than "
            f"{limits.amount_max_hundredths / 100:.2f}."
        )
        findings.append(Finding("AMOUNT", explanation))
    if history.payments_last_hour > limits.payments_per_hour_max:
        explanation = (
            f"The customer has made {history.payments_last_hour} payments within an hour, more than "
            f"{limits.payments_per_hour_max}."
        )
        findings.append(Finding("VELOCITY", explanation))
    if history.currencies and amount.currency not in history.currencies:
        known = ", ".join(sorted(history.currencies))
        explanation = f"The currency is {amount.currency}, but the customer has always paid in {known}."
        findings.append(Finding("MISMATCH", explanation))
    return findings
