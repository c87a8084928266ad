"""The port to a payment provider.

Each operation has a key, chosen by the caller: repeating it has no second effect and returns the first outcome. An
operation whose outcome is unknown is therefore repeated until the provider answers.
"""

import enum
from typing import Protocol
from uuid import UUID

from mesh.money import Money


class Outcome(enum.Enum):
    """An answer of a provider."""

    PROCESSING = enum.auto()
    AUTHORIZED = enum.auto()
    DECLINED = enum.auto()
    UNKNOWN_METHOD = enum.auto()
    CAPTURED = enum.auto()
    VOIDED = enum.auto()


class ProviderError(Exception):
    """A call without an answer: the outcome is unknown."""


class Provider(Protocol):
    """A payment provider. Every method raises ProviderError."""

    async def authorize(self, key: UUID, payment_method: str, amount: Money) -> Outcome:
        """Sets an amount aside on the customer's account: AUTHORIZED, DECLINED, UNKNOWN_METHOD, or PROCESSING if the
        provider will know later. Returns the current outcome of a charge that exists.
        """

    async def capture(self, key: UUID) -> Outcome:
        """Takes the amount of an authorised charge: CAPTURED, or VOIDED if it was voided before."""

    async def void(self, key: UUID) -> Outcome:
        """Ends a charge that is not captured: VOIDED, or CAPTURED if it was captured before. A charge that does not
        exist can't be made afterwards.
        """

    async def refund(self, key: UUID, charge: UUID, amount: Money) -> None:
        """Pays back an amount of a captured charge."""
