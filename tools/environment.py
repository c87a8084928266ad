"""The installation of the packages that a make target needs into .venv, and the update of an old .venv.

    python3 tools/environment.py up | toolchains | dev

Each name stands for the pins of requirements-<name>.txt. `up` creates .venv, so the others install it first. The script
runs before anything is installed and reports a Python that is too old. Therefore it uses only the standard library and
the syntax of Python 3.7. Running it again is cheap, and concurrent runs wait for each other.
"""

import ast
import contextlib
import errno
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

PYTHON_MIN = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
SOURCE_ROOTS = (ROOT, ROOT / "gen", ROOT / "clients" / "python")
PURPOSES = {
    "up": "what the mesh needs to run",
    "toolchains": "Go and Node.js",
    "dev": "what generation, checks and tests need",
}
FAILURE = "Could not install the packages; pip says above why. Is a package registry reachable, and is the disk full?"
# uv's variables, each with what pip calls it, and with what separates several places.
UV_VARIABLES = (
    ("UV_DEFAULT_INDEX", "index-url", " "),
    ("UV_INDEX", "extra-index-url", " "),
    ("UV_FIND_LINKS", "find-links", ","),
)
SECONDS_BETWEEN_LINES = 5.0
SECONDS_BETWEEN_REDRAWS = 0.2


def main() -> None:
    """Installs the requirements that the argument names. Exits with a message if that fails or is stopped."""
    try:
        install_named()
    except KeyboardInterrupt:
        sys.exit("Stopped. The next make target that needs the packages continues.")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sys.exit("The disk is full. Free some space, and try again.")


def install_named() -> None:
    """Installs the requirements that the argument names."""
    check_python(sys.version_info[:3])
    name = sys.argv[1] if len(sys.argv) > 1 else "dev"
    if name not in PURPOSES:
        sys.exit("Choose one of: {}".format(", ".join(PURPOSES)))
    for each in dict.fromkeys(("up", name)):
        requirements = ROOT / f"requirements-{each}.txt"
        with requirements.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            provide(ROOT / ".venv", requirements, PURPOSES[each])
    (ROOT / ".venv" / f"requirements-{name}.sha256").touch()  # make compares its time with that of the pins


def check_python(version: "tuple[int, int, int]") -> None:
    """Exits with a message if this Python is too old."""
    if version < PYTHON_MIN:
        needed, found = (".".join(map(str, numbers)) for numbers in (PYTHON_MIN, version))
        sys.exit(
            f"Python {needed} or newer is needed, and this is {found}. Install one, or name it: make up PYTHON=<path>"
        )


def provide(folder: Path, requirements: Path, purpose: str) -> None:
    """Installs these requirements into the virtual environment `folder`, unless they are installed already. Creates the
    environment first if it is missing or does not work.
    """
    python = folder / "bin" / "python"
    stamp = folder / requirements.with_suffix(".sha256").name
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    # The folder's own name is part of the stamp: an environment's programs name their interpreter by its full path.
    made_here, _, made_of = (stamp.read_text() if stamp.exists() else "").partition("\n")
    usable = (made_here == str(folder) or is_made_in(folder)) and works(python)
    if usable:
        find_own_code(python)
    if usable and (made_here, made_of) == (str(folder), digest):
        return
    print(f"Setting up .venv: {purpose}.", flush=True)
    if not usable:
        create(folder, python)
    install(python, requirements)
    replace_text(stamp, f"{folder}\n{digest}")


def is_made_in(folder: Path) -> bool:
    """Returns whether requirements were installed into this environment under its current path."""
    return any(stamp.read_text().split("\n")[0] == str(folder) for stamp in folder.glob("requirements-*.sha256"))


def create(folder: Path, python: Path) -> None:
    """Creates an environment that can import our own code. Replaces an existing one."""
    shutil.rmtree(str(folder), ignore_errors=True)
    command = [base_interpreter(), "-m", "venv", str(folder)]
    if subprocess.run(command, cwd=str(ROOT), check=False).returncode != 0:
        sys.exit("Could not create .venv. On Debian and Ubuntu, install python3-venv first.")
    find_own_code(python)


def find_own_code(python: Path) -> None:
    """Adds our own code to the import path of an environment. The checkout may have moved since its creation."""
    replace_text(packages_of(python) / "meshwright.pth", "".join(f"{root}\n" for root in SOURCE_ROOTS))


def replace_text(path: Path, text: str) -> None:
    """Replaces the text of a file as a whole: programs that start meanwhile read it, and a disk may be full."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)


def install(python: Path, requirements: Path) -> None:
    """Installs what the file pins and shows the progress. Exits with a message if that fails."""
    pinned = len(re.findall(r"^\S+==", requirements.read_text(), re.MULTILINE))
    # The file pins the dependencies of each package, too, so there is nothing to resolve.
    pins = ["--require-hashes", "--no-deps", "--requirement", str(requirements)]
    with Progress(packages_of(python), pinned) as progress:
        # uv takes a tenth of pip's time; pip knows more kinds of registries, and says why it fails.
        by_pip = [*pip(python), "install", "--progress-bar=off", *pins]
        if not install_by_uv(python, pins, progress) and run(by_pip, progress) != 0:
            sys.exit(FAILURE)


def install_by_uv(python: Path, pins: "list[str]", progress: "Progress") -> bool:
    """Installs pins by uv, which pip installs first. Returns whether uv could.

    pip replaces itself then, too: another target that runs pip while `dev` is installed would find two versions mixed.
    """
    installers = ["--require-hashes", "--requirement", str(ROOT / "requirements-installers.txt")]
    if run([*pip(python), "install", "--quiet", *installers], progress, stderr=subprocess.DEVNULL) != 0:
        return False
    uv = [str(python.with_name("uv")), "pip", "install", "--quiet", "--python", str(python), "--compile-bytecode"]
    uv += ["--system-certs", *pins]
    configured = configuration_of_pip(python)
    if "no-index" in configured:
        uv.append("--no-index")
    # As variables, because every user of the machine can list arguments, and the URL of a registry may have a password.
    places = {
        variable: separator.join(configured[name].split())
        for variable, name, separator in UV_VARIABLES
        if name in configured
    }
    return run(uv, progress, env={**os.environ, **places}, stderr=subprocess.DEVNULL) == 0


def configuration_of_pip(python: Path) -> "dict[str, str]":
    """Returns the values that pip is configured with, in files or by variables, by their names."""
    listed = subprocess.run([*pip(python), "config", "list"], stdout=subprocess.PIPE, check=True, encoding="utf-8")
    # Variables come last, and replace what is in files.
    found = re.findall(r"^\S+\.([\w-]+)=(.*)$", listed.stdout, re.MULTILINE)
    return {name: ast.literal_eval(text) for name, text in found}


def pip(python: Path) -> "list[str]":
    """Returns the command of an environment's pip."""
    return [str(python), "-m", "pip", "--disable-pip-version-check", "--no-color"]


def run(command: "list[str]", progress: "Progress", **options: Any) -> int:
    """Runs a program, with more options of Popen, to its end, also after a signal. Returns its exit code."""
    process = subprocess.Popen(command, cwd=str(ROOT), stdout=subprocess.PIPE, universal_newlines=True, **options)

    def stop(*_: object) -> None:
        process.send_signal(signal.SIGINT)
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)  # which make sends to us alone, unlike Ctrl-C
    try:
        for line in process.stdout or ():
            progress.read(line)
    finally:
        exit_code = process.wait()  # if it was stopped, it undoes what it was doing
    return exit_code


class Progress:
    """The progress of a pip run: a redrawn line on a terminal, else a new line every few seconds."""

    def __init__(self, packages: Path, pinned: int) -> None:
        self._packages = packages
        self._pinned = pinned
        self._found = 0
        self._text = "downloading"
        self._installed_before = None  # type: int | None
        self._started = time.monotonic()
        self._on_terminal = sys.stdout.isatty()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show_until_end, daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._on_terminal:
            self._write("\r\x1b[K")
        if failure is None:
            self._write(f"  {self._pinned} packages in {self._seconds()} s\n")

    def read(self, line: str) -> None:
        """Updates the progress from a line of pip's output."""
        words = line.split()
        if words[:1] == ["Collecting"] or words[:3] == ["Requirement", "already", "satisfied:"]:
            self._found += 1
        elif words[:1] == ["Downloading"]:
            size = re.search(r"\(([^()]+)\)\s*$", line)
            file = words[1].rpartition("/")[2]
            name, _, rest = file.partition("-")
            of = f" ({size.group(1)})" if size else ""
            self._text = f"{self._found} of {self._pinned}: downloading {name} {rest.partition('-')[0]}{of}"
        elif words[:2] == ["Installing", "collected"]:
            self._installed_before = self._count_installed()

    def text(self) -> str:
        """Returns the current step of pip."""
        if self._installed_before is None:
            return self._text
        return f"installing {self._count_installed() - self._installed_before} of {self._pinned}"

    def _show_until_end(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_REDRAWS if self._on_terminal else SECONDS_BETWEEN_LINES):
            text = f"  {self.text()}, {self._seconds()} s"
            self._write(
                f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}" if self._on_terminal else f"{text}\n"
            )

    def _count_installed(self) -> int:
        return sum(1 for _ in self._packages.glob("*.dist-info"))

    def _seconds(self) -> int:
        return int(time.monotonic() - self._started)

    @staticmethod
    def _write(text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # the reader has closed the pipe; pip continues
            sys.stdout.write(text)
            sys.stdout.flush()


def base_interpreter() -> str:
    """Returns the interpreter outside of any virtual environment. The current one may belong to the environment that is
    replaced, for example if .venv is activated.
    """
    if sys.prefix == sys.base_prefix:
        return sys.executable
    return str(Path(sys.base_prefix) / "bin" / "python{}.{}".format(*sys.version_info))


def works(python: Path) -> bool:
    """Returns whether this interpreter runs. It does not after its base Python was removed by an upgrade."""
    try:
        output(python, "import pip")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def packages_of(python: Path) -> Path:
    """Returns the folder with the packages of this interpreter."""
    return Path(output(python, "import sysconfig; print(sysconfig.get_path('purelib'))"))


def output(python: Path, program: str) -> str:
    """Returns the output of a Python program."""
    done = subprocess.run([str(python), "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return os.fsdecode(done.stdout).strip()


if __name__ == "__main__":
    main()
