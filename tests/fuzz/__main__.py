"""Runs the targets under a coverage-guided fuzzer, each for a while.

    python -m tests.fuzz SECONDS [TARGET …]

An input that fails is left in .tools/fuzz/found. Put it under tests/fuzz/cases/TARGET with a name that says what it
shows, and `make test` tries it ever after. What the fuzzer learns is kept in .tools/fuzz/corpus and used the next time.
"""

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.fuzz.targets import CASES, NAMES

FOLDER: Final = Path(__file__).resolve().parents[2] / ".tools" / "fuzz"
SIZE_BYTES_MAX: Final = 4096
MEMORY_MB_MAX: Final = 1024
INPUT_S_MAX: Final = 10


def main() -> None:
    """Each target in a process of its own: the fuzzer ends the one that it is in. Exits with 1 if one fails."""
    seconds, *names = sys.argv[1:]
    failed = [name for name in names or NAMES if not _fuzz(name, int(seconds))]
    if failed:
        sys.exit(f"Failed: {', '.join(failed)}. The inputs are in {FOLDER / 'found'}.")


def _fuzz(name: str, seconds: int) -> bool:
    corpus, found = FOLDER / "corpus" / name, FOLDER / "found"
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    options = {
        "max_total_time": seconds,
        "max_len": SIZE_BYTES_MAX,
        "rss_limit_mb": MEMORY_MB_MAX,
        "timeout": INPUT_S_MAX,
        "artifact_prefix": f"{found}/{name}-",
        "print_final_stats": 1,
    }
    flags = [f"-{option}={value}" for option, value in options.items()]
    print(f"{name}: {seconds} s", flush=True)
    command = [sys.executable, "-m", "tests.fuzz.instrumented", name, *flags, str(corpus), str(CASES / name)]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    main()
