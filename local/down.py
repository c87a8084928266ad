"""`make down`: stops a mesh that runs in another terminal."""

import os
import signal
import time
from contextlib import suppress

from local.errors import SetupError
from local.home import Home

STOP_TIMEOUT_S = 60.0
POLL_S = 0.05


def down(home: Home) -> bool:
    """Asks the supervisor to stop and waits until it has ended. Returns False if no supervisor ran. Raises SetupError
    if it does not end within STOP_TIMEOUT_S.
    """
    pid = home.supervisor_pid()
    if pid is None:
        return False
    with suppress(ProcessLookupError):  # it has just ended
        os.kill(pid, signal.SIGTERM)
    deadline_s = time.monotonic() + STOP_TIMEOUT_S
    while home.supervisor_pid() == pid:
        if time.monotonic() > deadline_s:
            raise SetupError(f"The mesh did not stop within {STOP_TIMEOUT_S:.0f} s. To kill it: kill -9 {pid}")
        time.sleep(POLL_S)
    return True
