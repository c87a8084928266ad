"""Problems of a contract, reported to its author."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """An error or a warning about a rule. `column` counts from 1; 0 stands for the whole rule.

    Without a template the problem concerns the message or the services in `method`.
    """

    method: str
    template: str
    column: int
    why: str
    fatal: bool = True

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        where = f"{self.template!r}{column}: " if self.template else ""
        return f"{'error' if self.fatal else 'warning'}: {self.method}: {where}{self.why}"
