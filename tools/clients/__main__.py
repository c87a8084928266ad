"""The clients in dist/clients: the wheel for Python, the package for TypeScript, the collection for Postman.

    python -m tools.clients [version]

By default, the version is that of pyproject.toml.
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
    """Recreates dist/clients and prints how to use its files. Exits with a message if something fails."""
    try:
        made = write(ROOT / "dist" / "clients", *sys.argv[1:2])
    except ClientsFailed as error:
        sys.exit(str(error))
    wheel, package, collection = (path.relative_to(ROOT) for path in made)
    print(f"Python      pip install {wheel}")
    print(f"TypeScript  npm install openapi-fetch ./{package}")
    print(f"Postman     import {collection}")


def write(target: Path, version: str = "") -> tuple[Path, Path, Path]:
    """Writes the clients into a folder, which it recreates. Returns the wheel, the folder of the TypeScript package,
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
