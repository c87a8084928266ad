"""Amounts of money for the domains of services. Only the standard library is used here."""

from dataclasses import dataclass, replace
from typing import Self


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in hundredths of a currency (ISO 4217): an integer, so that sums are exact."""

    currency: str
    hundredths: int

    def __mul__(self, quantity: int) -> Self:
        return replace(self, hundredths=self.hundredths * quantity)

    def __add__(self, other: Self) -> Self:
        if other.currency != self.currency:
            raise ValueError(f"can't add {other.currency} to {self.currency}")
        return replace(self, hundredths=self.hundredths + other.hundredths)
