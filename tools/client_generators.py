"""The installation of client generators for the tests of the edge's documents into .tools/client-generators.

    python tools/client_generators.py

They have their own environment, because `make up` does not need them and they bring a Java runtime.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tools import npm_packages

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "generators"
FOLDER = ROOT / ".tools" / "client-generators"
PACKAGES = FOLDER / "packages"


def main() -> None:
    """Installs the generators. Exits with a message if that fails."""
    requirements = SOURCE / "requirements.txt"
    made = PACKAGES / ".made"
    if not made.exists() or made.read_text() != requirements.read_text():
        print(
            "Putting the generators of clients into .tools/client-generators: 260 MB, less than a minute.", flush=True
        )
        shutil.rmtree(PACKAGES, ignore_errors=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        options = ["--require-hashes", "--no-deps", "--only-binary", ":all:"]
        command = [*pip, *options, "--target", str(PACKAGES), "--requirement", str(requirements)]
        if subprocess.run(command, check=False).returncode != 0:
            sys.exit("The generators of clients could not be installed; pip says above why.")
        made.write_text(requirements.read_text())
    if not npm_packages.install(SOURCE, FOLDER):
        sys.exit("The generators of clients could not be installed; npm says above why.")


if __name__ == "__main__":
    main()
