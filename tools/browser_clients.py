"""The installation of the browser client libraries for the edge's tests into .tools/browser-clients, by npm.

python tools/browser_clients.py
"""

import sys
from pathlib import Path

from tools import npm_packages

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / "tests" / "edge" / "protocols" / "rpc" / "browser"
FOLDER = ROOT / ".tools" / "browser-clients"


def main() -> None:
    """Installs the libraries. Exits with a message if that fails."""
    if not npm_packages.install(PACKAGES, FOLDER):
        sys.exit("The clients of browsers could not be installed; npm says above why.")


if __name__ == "__main__":
    main()
