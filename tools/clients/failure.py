"""The error of building clients, raised also by programs that fail."""

import subprocess
from pathlib import Path


class ClientsFailed(Exception):
    """A failure to build a client. The text is the reason."""


def run(*command: str | Path, folder: Path | None = None) -> None:
    """Runs a program. Raises ClientsFailed with its output if it fails."""
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise ClientsFailed(f"{done.stdout}{Path(command[0]).name} failed for the reason above.")
