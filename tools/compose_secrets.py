"""Makes .env, the secrets that compose.yaml reads. Only its owner can read it, and git ignores it."""

import os
import secrets
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / ".env"
DATABASES = ("IDENTITY", "CATALOG", "ORDERS", "NOTIFICATIONS")
BROKER_USERS = ("PROVISIONER", *DATABASES)
NAMES = (
    "POSTGRES_PASSWORD",
    *(f"{database}_DATABASE_PASSWORD" for database in DATABASES),
    *(f"{user}_BROKER_PASSWORD" for user in BROKER_USERS),
    "KEY_ENCRYPTION_SECRET",
    "STAFF_PASSWORD",
    "NOTIFICATIONS_CLIENT_SECRET",
    "MAIL_PAGE_TOKEN",
)


def main() -> None:
    """Adds what is missing, and leaves what is there as it is: the data in the volumes fits it.

    A file that others could read is closed to them before a secret is written.
    """
    with os.fdopen(os.open(FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+") as file:
        os.fchmod(file.fileno(), 0o600)
        present = file.read()
        names = {line.partition("=")[0] for line in present.splitlines()}
        file.write("" if present.endswith("\n") or not present else "\n")
        file.writelines(f"{name}={secrets.token_hex(24)}\n" for name in NAMES if name not in names)


if __name__ == "__main__":
    main()
