"""The package of clients/python as a wheel."""

import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from tools.clients.failure import run

SOURCE: Final = Path(__file__).resolve().parents[2] / "clients" / "python"
_VERSION: Final = re.compile(r'^version = ".*"$', re.MULTILINE)


def build_wheel(version: str, target: Path) -> Path:
    """Builds the wheel of this version in a folder and returns its path. Raises ClientsFailed."""
    with tempfile.TemporaryDirectory() as folder:  # setuptools writes beside its sources
        copy = shutil.copytree(SOURCE, Path(folder, "python"), ignore=shutil.ignore_patterns("__pycache__", "build"))
        project = copy / "pyproject.toml"
        project.write_text(_VERSION.sub(f'version = "{version}"', project.read_text(), count=1))
        command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
        run(*command, "--no-build-isolation", "--no-deps", "--wheel-dir", target, copy)
    (wheel,) = target.glob("meshwright_client-*.whl")
    return wheel
