"""Secrets that the local mesh generates once and keeps in files which only their owner can read."""

import os
import secrets
from pathlib import Path


def write_secret(path: Path, text: str) -> None:
    """Replace the file's text in one step, so that whoever dies in between leaves the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def secret(path: Path) -> str:
    """The secret kept in this file, made up when there is none: 32 characters that need no quoting anywhere.

    A file that others could read, as a copy of the folder may have left it, is closed to them.
    """
    if path.exists():
        path.chmod(0o600)
    else:
        write_secret(path, secrets.token_urlsafe(24))
    return path.read_text(encoding="utf-8")
