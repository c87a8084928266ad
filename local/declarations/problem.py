"""What is wrong with the declarations of a checkout, for the person who wrote them."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that is wrong in a file. `path` is relative to the checkout, `line` counts from 1."""

    path: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.why}"


class WrongDeclarations(Exception):
    """The declarations, the contracts or the code contradict each other. The text has a line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))
