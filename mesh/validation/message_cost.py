"""The cost of a message: its number of elements, and the cost of the expressions that iterate over them."""

from dataclasses import dataclass
from typing import Final

COST_MAX: Final = 10_000
"""The most that the expressions of one message may cost, in iterations, beyond what the contract's own bounds allow."""


class TooCostly(Exception):
    """The rules of a message would cost too much to evaluate. `field` is the path of the list that is too long."""

    def __init__(self, field: str) -> None:
        super().__init__(field)
        self.field = field


@dataclass(slots=True)
class MessageCost:
    """The elements of one message, the cost of the expressions that iterate over them, and whether a field was cut."""

    elements: int = 0
    cost: int = 0
    is_cut: bool = False

    def spend(self, cost: int, field: str) -> None:
        """Adds a cost. Raises TooCostly if that exceeds COST_MAX."""
        self.cost += cost
        if self.cost > COST_MAX:
            raise TooCostly(field)
