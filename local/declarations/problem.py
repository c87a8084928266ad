"""Problems in the declarations of a checkout, described for their author."""

from collections.abc import Iterable
from dataclasses import dataclass

from local.errors import SetupError


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A problem at a line of a file. `path` is relative to the checkout, `line` counts from 1."""

    path: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.why}"


class WrongDeclarations(SetupError):
    """A contradiction between declarations, contracts and code. The text has a line for each problem."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))
