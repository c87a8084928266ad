"""The package of clients/python, as pip builds it from its folder."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tools.clients.python_package import SOURCE


def modules(folder: Path, target: Path) -> set[str]:
    """Returns the names of the files in the wheel that pip builds of a folder."""
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "--no-build-isolation", "--no-deps", "--wheel-dir", target, folder], check=True)
    [wheel] = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_a_removed_module_is_not_installed(tmp_path: Path) -> None:
    """A build leaves no modules beside the sources, where the next one would find and pack them."""
    folder = shutil.copytree(SOURCE, tmp_path / "python", ignore=shutil.ignore_patterns("build", "*.egg-info"))
    added = folder / "meshwright_client" / "meshwright" / "old" / "__init__.py"
    added.parent.mkdir()
    added.touch()
    before = modules(folder, tmp_path / "before")
    shutil.rmtree(added.parent)
    assert before - modules(folder, tmp_path / "after") == {"meshwright_client/meshwright/old/__init__.py"}
    assert not (folder / "build").exists()
