"""Creates .venv with the packages of requirements-dev.txt, and brings an old one up to date.

    python3 tools/environment.py

It has to run before anything is installed, and to say so when the Python is too old: so it uses the standard library
only, and nothing that Python 3.7 cannot read. Running it again costs nothing, and two at once wait for each other.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PYTHON_MIN = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = (ROOT, ROOT / "gen")


def main() -> None:
    """Exits with a sentence when something is missing."""
    check_python(sys.version_info[:3])
    requirements = ROOT / "requirements-dev.txt"
    with requirements.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        create(ROOT / ".venv", requirements)


def check_python(version: "tuple[int, int, int]") -> None:
    """Exits when this Python is too old."""
    if version < PYTHON_MIN:
        needed, found = (".".join(map(str, numbers)) for numbers in (PYTHON_MIN, version))
        sys.exit(
            f"Python {needed} or newer is needed, and this is {found}. Install one, or name it: make up PYTHON=<path>"
        )


def create(folder: Path, requirements: Path) -> None:
    """Makes `folder` a virtual environment with these requirements; does nothing when it is one."""
    python = folder / "bin" / "python"
    stamp = folder / requirements.with_suffix(".sha256").name
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    # The folder's own name is part of the stamp: an environment's programs name their interpreter by its full path.
    made_here, made_of = (stamp.read_text() if stamp.exists() else "\n").split("\n")
    usable = made_here == str(folder) and works(python)
    if usable and made_of == digest:
        stamp.touch()
        return
    print("Setting up .venv. The first time takes about a minute.", flush=True)
    if not usable:
        shutil.rmtree(str(folder), ignore_errors=True)
        run(
            "Could not create .venv. On Debian and Ubuntu, install python3-venv first.",
            base_interpreter(),
            "-m",
            "venv",
            folder,
        )
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    failure = (
        "Could not install the packages; pip says above why. Is a package registry reachable, and is the disk full?"
    )
    run(failure, *pip, "--require-hashes", "--requirement", requirements)
    add_source_roots(python)
    stamp.write_text(f"{folder}\n{digest}")


def base_interpreter() -> str:
    """Returns the interpreter outside any virtual environment: this one may belong to the environment to replace, as
    with an activated .venv.
    """
    if sys.prefix == sys.base_prefix:
        return sys.executable
    return str(Path(sys.base_prefix) / "bin" / "python{}.{}".format(*sys.version_info))


def works(python: Path) -> bool:
    """Whether this interpreter runs: it does not when the Python that it stands on was upgraded away."""
    try:
        output(python, "import pip")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def add_source_roots(python: Path) -> None:
    """Puts our own code on the interpreter's path, wherever it is called from."""
    packages = Path(output(python, "import sysconfig; print(sysconfig.get_path('purelib'))"))
    (packages / "meshwright.pth").write_text("".join(f"{root}\n" for root in SOURCE_ROOTS))


def output(python: Path, program: str) -> str:
    """What a program prints."""
    done = subprocess.run([str(python), "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return os.fsdecode(done.stdout).strip()


def run(failure: str, *command: "str | Path") -> None:
    """Runs a command that says itself what it does; when it fails, exits with the sentence."""
    if subprocess.run([str(part) for part in command], cwd=str(ROOT), check=False).returncode != 0:
        sys.exit(failure)


if __name__ == "__main__":
    main()
