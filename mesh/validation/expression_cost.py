"""An estimate of what CEL expressions cost, from their text."""

import re
from collections.abc import Iterable
from typing import Final

_WEIGHTS: Final = (
    (re.compile(r"\bmatches\s*\("), 30),  # compiles its regular expression every time
    (re.compile(r"\b(?:map|filter|exists_one|split|distinct|sort\w*)\s*\("), 10),  # copies lists
    (re.compile(r"\.(?:all|exists)\s*\(.*\.(?:all|exists)\s*\(", re.DOTALL), 100),  # a loop inside a loop
)
"""The cost of an element, in iterations, for expressions that do more than look at each element once."""


def expression_cost(expressions: Iterable[str]) -> int:
    """Returns the cost of these expressions for each element, in iterations."""
    return sum(max([1, *(weight for pattern, weight in _WEIGHTS if pattern.search(each))]) for each in expressions)
