"""The generator of .env, the secrets to which compose.yaml refers. Only its owner can read it, and git ignores it.

It needs only Python, because `make compose` runs it without an environment.
"""

import os
import re
import secrets
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / ".env"


def names() -> tuple[str, ...]:
    """Returns the names of the secrets that compose.yaml requires."""
    found = re.findall(r"\$\{([A-Z][A-Z0-9_]*):\?run make compose\}", (ROOT / "compose.yaml").read_text())
    return tuple(dict.fromkeys(found))


def main() -> None:
    """Adds missing secrets to the file. Keeps the existing ones, because the data in the volumes depends on them.

    Permissions of other users are removed from the file before a secret is written.
    """
    with os.fdopen(os.open(FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+") as file:
        os.fchmod(file.fileno(), 0o600)
        present = file.read()
        known = {line.partition("=")[0] for line in present.splitlines()}
        file.write("" if present.endswith("\n") or not present else "\n")
        file.writelines(f"{name}={secrets.token_hex(24)}\n" for name in names() if name not in known)


if __name__ == "__main__":
    main()
