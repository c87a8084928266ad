"""Secrets that the local mesh generates once and keeps in files that only their owner can read."""

import os
import secrets
from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Replaces the text of a file atomically, so that a crash leaves the old or the new text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def secret(path: Path) -> str:
    """Returns the secret in this file, and generates it first if there is none: 32 URL-safe characters.

    Permissions of other users are removed from the file: a copied folder may have added them.
    """
    if path.exists():
        path.chmod(0o600)
    else:
        write_secret(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8")
