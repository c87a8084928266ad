"""The build of the gRPC server of tests/backends/go in .tools/bin.

python tools/go_backend.py
"""

from pathlib import Path

from tools.go import LINKED_QUICKLY, QUICK, go

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "backends" / "go"
TARGET = ROOT / ".tools" / "bin" / "go-backend"


def main() -> None:
    """Builds the server if its source is newer. Exits with a message if that fails."""
    newest = max(file.stat().st_mtime for file in SOURCE.iterdir())
    if TARGET.is_file() and TARGET.stat().st_mtime > newest:
        return
    print("Building the Go backend of the tests into .tools/bin, a minute at most.", flush=True)
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    options = ("-mod=readonly", *QUICK, f"-ldflags={LINKED_QUICKLY}", "-o", str(TARGET))
    go("the Go backend", "build", *options, ".", folder=SOURCE)


if __name__ == "__main__":
    main()
