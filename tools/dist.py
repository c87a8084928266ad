"""The files of a release in dist/: the packaged chart, the clients for Python, TypeScript and Postman, the descriptor
image, the list of the container image's packages, and the release notes from CHANGELOG.md.

    python tools/dist.py 1.2.3

The container image is not one of them; `make image` builds it.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from tools.clients.document import openapi_document
from tools.clients.failure import ClientsFailed
from tools.clients.postman import write_collection
from tools.clients.python_package import build_wheel
from tools.clients.typescript_package import build_package, pack

ROOT: Final = Path(__file__).resolve().parent.parent
VERSION: Final = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}(-[0-9A-Za-z]+(\.[0-9A-Za-z]+)*)?")


class DistFailed(Exception):
    """A failure to make the release. The text is the reason."""


def main() -> None:
    """Recreates dist/. Exits with a message if something is missing."""
    try:
        make(sys.argv[1] if len(sys.argv) > 1 else "", ROOT / "dist")
    except DistFailed as error:
        sys.exit(str(error))


def make(version: str, target: Path) -> None:
    """Writes all files of this version into a folder, which it recreates. Raises DistFailed."""
    if not VERSION.fullmatch(version):
        raise DistFailed("VERSION is the version to release, such as 1.2.3: make dist VERSION=1.2.3")
    notes = notes_of(version, (ROOT / "CHANGELOG.md").read_text())
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    (target / "notes.md").write_text(notes)
    shutil.copy(ROOT / "gen" / "contracts.binpb", target / f"meshwright-contracts-{version}.binpb")
    shutil.copy(ROOT / "sbom.json", target / f"meshwright-{version}.cdx.json")
    package_chart(version, target)
    package_clients(version, target)


def notes_of(version: str, changelog: str) -> str:
    """Returns the changelog section of a version. Raises DistFailed if there is none."""
    match = re.search(
        rf"^## {re.escape(version)}( [^\n]*)?\n(?P<notes>.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if match is None:
        raise DistFailed(f"CHANGELOG.md has no section {version}. Give the section Unreleased this name and a date.")
    return match["notes"].strip() + "\n"


def package_chart(version: str, target: Path) -> None:
    """Packages the chart with the version as chart version and image tag."""
    run(
        ROOT / ".tools" / "bin" / "helm",
        *("package", ROOT / "charts" / "meshwright"),
        *(f"--version={version}", f"--app-version={version}", f"--destination={target}"),
    )


def package_clients(version: str, target: Path) -> None:
    """Writes the wheel for Python, the archive for npm, and the collection for Postman."""
    try:
        document = openapi_document()
        build_wheel(version, target)
        with tempfile.TemporaryDirectory() as folder:
            pack(build_package(version, document, Path(folder, "typescript")), target)
    except ClientsFailed as error:
        raise DistFailed(str(error)) from None
    write_collection(document, target / f"meshwright-{version}.postman_collection.json")


def run(*command: str | Path) -> None:
    """Runs a program. Raises DistFailed with its output if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise DistFailed(f"{done.stdout}{Path(command[0]).name} failed for the reason above.")


if __name__ == "__main__":
    main()
