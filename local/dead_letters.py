"""`make dead-letters`: the events that a service of the running mesh gave up on."""

import os
import subprocess
import sys

from local.home import Home
from local.postgres import Postgres
from local.running import chosen_service, port_of


def dead_letters(home: Home, service: str | None, show: str | None, replay: str | None, overtaken: bool) -> int:
    """Lists the dead letters of a service, shows one, or replays one or all. `show` and `replay` are ids; `replay` may
    be `all`, and leaves out those that are `overtaken` unless that is true. Returns the exit status of mesh.events.
    """
    database = chosen_service("dead-letters", service, lambda each: each.declaration.database).name
    url = Postgres(home.data(Postgres.name), port_of(home, Postgres.name)).url(database)
    which = ["--all"] if replay == "all" else ["--id", replay or ""]
    if overtaken:
        which.append("--overtaken")
    what = ["replay", *which] if replay else ["show", "--id", show] if show else ["list"]
    command = [sys.executable, "-m", "mesh.events", *what]
    return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False).returncode
