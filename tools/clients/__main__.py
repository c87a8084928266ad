"""Writes the clients into dist/clients: the wheel for Python, the package for TypeScript, the collection for Postman.

    python -m tools.clients [version]

The version is that of pyproject.toml by default.
"""

import shutil
import sys
import tomllib
from pathlib import Path
from typing import Final

from tools.clients.document import openapi_document
from tools.clients.failure import ClientsFailed
from tools.clients.postman import write_collection
from tools.clients.python_package import build_wheel
from tools.clients.typescript_package import build_package, pack

ROOT: Final = Path(__file__).resolve().parents[2]
COLLECTION: Final = "meshwright.postman_collection.json"


def main() -> None:
    """Writes dist/clients anew, and prints how to use what is there. Exits with a sentence when something fails."""
    try:
        made = write(ROOT / "dist" / "clients", *sys.argv[1:2])
    except ClientsFailed as error:
        sys.exit(str(error))
    wheel, package, collection = (path.relative_to(ROOT) for path in made)
    print(f"Python      pip install {wheel}")
    print(f"TypeScript  npm install openapi-fetch ./{package}")
    print(f"Postman     import {collection}")


def write(target: Path, version: str = "") -> tuple[Path, Path, Path]:
    """Writes the clients into a folder that is made anew. Returns the wheel, the folder of the package for TypeScript,
    and the collection. Raises ClientsFailed.
    """
    version = version or tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    document = openapi_document()
    wheel = build_wheel(version, target)
    package = build_package(version, document, target / "typescript")
    pack(package, target)
    collection = target / COLLECTION
    write_collection(document, collection)
    return wheel, package, collection


if __name__ == "__main__":
    main()
