"""Makes .env, the secrets that compose.yaml reads. Only its owner can read it, and git ignores it."""

import os
import secrets
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / ".env"
DATABASES = ("IDENTITY", "CATALOG", "ORDERS", "NOTIFICATIONS")
NAMES = (
    "POSTGRES_PASSWORD",
    *(f"{database}_DATABASE_PASSWORD" for database in DATABASES),
    "KEY_ENCRYPTION_SECRET",
    "STAFF_PASSWORD",
    "NOTIFICATIONS_CLIENT_SECRET",
)


def main() -> None:
    """Adds what is missing, and leaves what is there as it is: the data in the volumes fits it."""
    with os.fdopen(os.open(FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+") as file:
        present = file.read()
        names = {line.partition("=")[0] for line in present.splitlines()}
        file.write("" if present.endswith("\n") or not present else "\n")
        file.writelines(f"{name}={secrets.token_hex(24)}\n" for name in NAMES if name not in names)


if __name__ == "__main__":
    main()
