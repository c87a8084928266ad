"""Something about a contract that its author should know."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about a rule that its author should know. `column` counts from 1; 0 stands for the whole rule. Without
    a template it is about the message or the services that `method` names.
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
