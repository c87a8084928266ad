"""What the supervisor says about its processes, in a file that `make status` reads."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self


@dataclass(slots=True)
class ProcessState:
    """One process. `pid` is None while it waits to be started again; `started_at` is in seconds since the epoch.

    `ready` says that it was ready once since its start. Where there is a `readyz_url`, that one knows better.
    """

    name: str
    port: int
    readyz_url: str | None = None
    pid: int | None = None
    started_at: float = 0.0
    restarts: int = 0
    ready: bool = False


@dataclass(slots=True)
class State:
    """All processes, in the order of their start."""

    processes: list[ProcessState] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What the file says; nothing when there is none."""
        if not path.exists():
            return cls()
        return cls([ProcessState(**process) for process in json.loads(path.read_text())["processes"]])

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=2))
        new.replace(path)
