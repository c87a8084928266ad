"""The builds of the gRPC server of tests/backends/go, and of the client beside it, in .tools/bin.

python tools/go_backend.py
"""

from pathlib import Path

from tools.go import LINKED_QUICKLY, QUICK, go

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "backends" / "go"
BIN = ROOT / ".tools" / "bin"
PROGRAMS = {"go-backend": ".", "go-interop": "./interop"}
"""The packages by the names of their programs."""


def main() -> None:
    """Builds the programs that are older than the source. Exits with a message if that fails."""
    newest = max(file.stat().st_mtime for file in SOURCE.rglob("*") if file.is_file())
    for program, package in PROGRAMS.items():
        target = BIN / program
        if not target.is_file() or target.stat().st_mtime <= newest:
            build(program, package, target)


def build(program: str, package: str, target: Path) -> None:
    """Builds one of them."""
    print(f"Building {program} of the tests into .tools/bin, a minute at most.", flush=True)
    BIN.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".new")
    options = ("-mod=readonly", *QUICK, f"-ldflags={LINKED_QUICKLY}", "-o", str(unfinished))
    go(program, "build", *options, package, folder=SOURCE)
    unfinished.replace(target)  # the next run takes whatever is there for a whole program


if __name__ == "__main__":
    main()
