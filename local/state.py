"""The state of the processes, which the supervisor writes to a file for `make status`."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

STEADY_S = 30.0  # after this time a process is stable: earlier crashes no longer count
CRASH_LOOP_MIN = 3  # consecutive crashes, none after a stable run


@dataclass(slots=True)
class ProcessState:
    """The state of a process. `pid` is None while it waits for its next start; `started_at` is in seconds since the
    epoch. `restarts` excludes requested ones; `crashes` counts consecutive crashes, each within STEADY_S of the start.

    `ready` is true if it has been ready since its start. If there is a `readyz_url`, ask that for the current state.
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
        """Returns whether the process is in a crash loop at the time `now`, in seconds since the epoch."""
        steady = self.pid is not None and now - self.started_at > STEADY_S
        return self.crashes >= CRASH_LOOP_MIN and not steady


@dataclass(slots=True)
class State:
    """The states of all processes, in the order of their start."""

    processes: list[ProcessState] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads the state from a file. Without the file, the state is empty.

        It is empty too if the file has another form: a power failure cut it off, after which none of its processes run,
        or another version wrote it. Should processes of that version still run, their ports are reported as in use.
        """
        try:
            return cls([ProcessState(**process) for process in json.loads(path.read_bytes())["processes"]])
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return cls()

    def write(self, path: Path) -> None:
        """Replaces the file atomically."""
        new = path.with_suffix(".new")
        new.write_text(json.dumps(asdict(self), indent=2))
        new.replace(path)
