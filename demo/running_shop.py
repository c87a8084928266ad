"""The shop that runs in this checkout: its URL, and the login of its staff."""

from pathlib import Path

from demo.client import DemoError
from local import processes
from local.declarations.checkout import read_services
from local.errors import SetupError
from local.home import Home
from local.running import port_of


def running_url(home: Home) -> str:
    """Returns the URL of the running mesh of this checkout. Raises DemoError if none is running."""
    try:
        return f"http://127.0.0.1:{port_of(home, 'edge')}"
    except SetupError:
        raise DemoError("No mesh runs here. Start one with `make up`, and try again.") from None


def staff_login(home: Home) -> tuple[str, str]:
    """Returns the address and the password of the member of staff that each mesh begins with."""
    return processes.staff_email(read_services(Path())), home.secret("staff-password")
