"""The installation of gRPC's client for Node for the tests into .tools/grpc-js, by npm.

python tools/grpc_js.py
"""

import sys
from pathlib import Path

from tools import npm_packages

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "tests" / "mesh" / "http2" / "server_interop" / "node"
FOLDER = ROOT / ".tools" / "grpc-js"


def main() -> None:
    """Installs the client. Exits with a message if that fails."""
    if not npm_packages.install(PACKAGES, FOLDER):
        sys.exit("The client of gRPC for Node could not be installed; npm says above why.")


if __name__ == "__main__":
    main()
