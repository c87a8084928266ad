"""The finding of an audit about one invariant."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from demo.databases import Databases

SHOWN_MAX: Final = 5


@dataclass(slots=True)
class Finding:
    """An invariant, the figures that it is about, and what breaks it."""

    invariant: str
    figures: dict[str, object] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


Check: TypeAlias = Callable[[Databases], Awaitable[Finding]]


def print_finding(finding: Finding) -> None:
    """Prints an invariant with its figures, and the first things that break it."""
    print(f"{'BROKEN' if finding.broken else 'holds ':6}  {finding.invariant}")
    print("        " + ", ".join(f"{name} {value}" for name, value in finding.figures.items()))
    for problem in finding.broken[:SHOWN_MAX]:
        print(f"        - {problem}")
    if len(finding.broken) > SHOWN_MAX:
        print(f"        - and {len(finding.broken) - SHOWN_MAX} more")
