"""What the supervisor says about its processes, in a file that `make status` reads."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

STEADY_S = 30.0  # a process that ran as long is taken for sound: what was before no longer counts
CRASH_LOOP_MIN = 3  # so many crashes in a row, none after a steady run


@dataclass(slots=True)
class ProcessState:
    """One process. `pid` is None while it waits to be started again; `started_at` is in seconds since the epoch.
    `restarts` leaves out those that were asked for; `crashes` are those in a row, each before a steady run.

    `ready` says that it was ready once since its start. Where there is a `readyz_url`, that one knows better.
    """

    name: str
    port: int
    readyz_url: str | None = None
    pid: int | None = None
    started_at: float = 0.0
    restarts: int = 0
    crashes: int = 0
    ready: bool = False

    def crashes_in_a_loop(self, now: float) -> bool:
        """Returns whether it has ended too often to be taken for sound now, in seconds since the epoch."""
        steady = self.pid is not None and now - self.started_at > STEADY_S
        return self.crashes >= CRASH_LOOP_MIN and not steady


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
