"""The build of the conformance suite of Connect and gRPC-Web in .tools: runner, reference server, and contract.

python tools/connect_conformance.py
"""

import json
import shutil
from pathlib import Path

from tools.go import LINKED_QUICKLY, QUICK, go

MODULE = "connectrpc.com/conformance"
VERSION = "v1.0.6"
PROGRAMS = ("connectconformance", "referenceserver")
FOLDER = Path(__file__).resolve().parent.parent / ".tools" / "connect-conformance"


def main() -> None:
    """Builds the suite. Exits with a message if that fails."""
    made = FOLDER / "VERSION"
    if made.exists() and made.read_text() == VERSION:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print(f"Building {MODULE} {VERSION} into .tools, a minute at most.", flush=True)
    programs = (f"{MODULE}/cmd/{program}@{VERSION}" for program in PROGRAMS)
    options = (*QUICK, f"-ldflags={LINKED_QUICKLY}")
    go("the conformance suite", "install", *options, *programs, folder=FOLDER, environment={"GOBIN": str(FOLDER)})
    module = go("the conformance suite", "mod", "download", "-json", f"{MODULE}@{VERSION}", folder=FOLDER)
    source = json.loads(module)["Dir"]
    for proto in Path(source, "proto").rglob("*.proto"):
        copy = FOLDER / proto.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(proto.read_bytes())
    made.write_text(VERSION)


if __name__ == "__main__":
    main()
