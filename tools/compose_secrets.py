"""Makes .env, the secrets that compose.yaml reads, once. Only its owner can read it, and git ignores it."""

import os
import secrets
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / ".env"
NAMES = ("POSTGRES_PASSWORD", "KEY_ENCRYPTION_SECRET", "STAFF_PASSWORD", "NOTIFICATIONS_CLIENT_SECRET")


def main() -> None:
    """Leaves a file that is there as it is: the data in the volumes fits its secrets."""
    try:
        descriptor = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w") as file:
        file.writelines(f"{name}={secrets.token_hex(24)}\n" for name in NAMES)


if __name__ == "__main__":
    main()
