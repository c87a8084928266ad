"""The installation of the RabbitMQ server for the tests, by the package manager of Debian and Ubuntu.

python tools/rabbitmq.py
"""

import os
import shutil
import subprocess
import sys

from local.rabbitmq import program

PACKAGE = "rabbitmq-server"
APT = ("apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300")  # another checkout may be installing it at the same time
ENVIRONMENT = "DEBIAN_FRONTEND=noninteractive"


def main() -> None:
    """Installs the server if it is missing. Exits with a message if that fails."""
    if program() is not None:
        return
    if shutil.which("apt-get") is None:
        sys.exit("RabbitMQ is missing, and there is no apt-get to install it. On macOS: brew install rabbitmq")
    print("Installing RabbitMQ by apt-get, about 30 s.", flush=True)
    install = (*APT, "install", "--yes", "--no-install-recommends", PACKAGE)
    if not as_root(*install):
        as_root(*APT, "update")  # a new container has no package lists, or old ones
        if not as_root(*install):
            sys.exit(f"RabbitMQ could not be installed. Run: sudo apt-get install {PACKAGE}")
    # The tests start their own servers. The system's server, which listens on all addresses, is not needed.
    as_root("service", PACKAGE, "stop")
    as_root("update-rc.d", PACKAGE, "disable")
    if program() is None:
        sys.exit(f"The package {PACKAGE} of this system has its server at an unknown place; see local/rabbitmq.py.")


def as_root(*command: str) -> bool:
    """Runs a command as root, by sudo if that needs no password. Returns whether it succeeded."""
    prefix = () if os.geteuid() == 0 else ("sudo", "--non-interactive")
    try:
        done = subprocess.run([*prefix, "env", ENVIRONMENT, *command], check=False, stdout=subprocess.DEVNULL)
    except FileNotFoundError:
        return False
    return done.returncode == 0


if __name__ == "__main__":
    main()
