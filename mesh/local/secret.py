"""Secrets that the local mesh generates once and keeps in files which only their owner can read."""

import os
import secrets
from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Replace the file's text in one step, so that whoever dies in between leaves the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    new.replace(path)


def secret(path: Path) -> str:
    """The secret kept in this file, generated when there is none: 32 characters that need no quoting in URLs, SQL and shells."""
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8")
