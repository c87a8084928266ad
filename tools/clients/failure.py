"""The error of making clients, and how the programs that make them are run."""

import subprocess
from pathlib import Path


class ClientsFailed(Exception):
    """A client can't be made; the text says why."""


def run(*command: str | Path, folder: Path | None = None) -> None:
    """Runs a program. What it prints is shown only when it fails. Raises ClientsFailed."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise ClientsFailed(f"{done.stdout}{Path(command[0]).name} failed for the reason above.")
