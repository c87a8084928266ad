"""The package of clients/typescript, with the types of an OpenAPI document."""

import json
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any, Final

from tools import npm_packages
from tools.clients.failure import ClientsFailed, run

ROOT: Final = Path(__file__).resolve().parents[2]
SOURCE: Final = ROOT / "clients" / "typescript"
TOOLS: Final = ROOT / ".tools" / "typescript-client"
_NODE: Final = Path(sysconfig.get_path("scripts"), "node")
_NPM: Final = Path(sysconfig.get_path("scripts"), "npm")


def main() -> None:
    """Installs the tools that build the package. Exits with a message if that fails."""
    try:
        install_tools()
    except ClientsFailed as error:
        sys.exit(str(error))


def install_tools() -> None:
    """Installs the compiler and the generator of types into .tools, unless they are there. Raises ClientsFailed."""
    if not npm_packages.install(SOURCE, TOOLS):
        raise ClientsFailed("The tools of the TypeScript client could not be installed; npm says above why.")


def build_package(version: str, document: dict[str, Any], folder: Path) -> Path:
    """Writes the package of this version into a folder and returns the folder. Raises ClientsFailed."""
    install_tools()
    folder.mkdir(parents=True)
    for name in ("README.md", "index.ts", "tsconfig.json"):
        shutil.copyfile(SOURCE / name, folder / name)
    about = json.loads((SOURCE / "package.json").read_text()) | {"version": version}
    (folder / "package.json").write_text(json.dumps(about, indent=2) + "\n")
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "node_modules").symlink_to(TOOLS / "node_modules")
    programs = folder / "node_modules" / ".bin"
    run(_NODE, programs / "openapi-typescript", "openapi.json", "--output", "schema.d.ts", folder=folder)
    run(_NODE, programs / "tsc", folder=folder)
    for name in ("index.ts", "tsconfig.json", "openapi.json", "node_modules"):
        (folder / name).unlink()
    return folder


def pack(package: Path, target: Path) -> None:
    """Packs a package into the archive that npm publishes. Raises ClientsFailed."""
    run(_NPM, "pack", "--silent", "--pack-destination", target, folder=package)


if __name__ == "__main__":
    main()
