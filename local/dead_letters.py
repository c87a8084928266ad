"""`make dead-letters`: the events that a service of the running mesh gave up on."""

import os
import subprocess
import sys
from pathlib import Path

from local.declarations.checkout import read_services
from local.errors import SetupError
from local.home import Home
from local.postgres import Postgres
from local.state import State


def dead_letters(home: Home, service: str | None, replay: str | None) -> int:
    """List them, or have one handled again by its id, or all. Returns the exit status of mesh.events."""
    with_database = {each.workload: each.name for each in read_services(Path()) if each.declaration.database}
    database = with_database.get((service or "").replace("_", "-"))
    if database is None:
        names = ", ".join(with_database)
        raise SetupError(f"SERVICE names whose they are: make dead-letters SERVICE=<one of {names}>")
    states = State.read(home.state_file).processes if home.supervisor_pid() else []
    ports = [state.port for state in states if state.name == Postgres.name]
    if not ports:
        raise SetupError("No mesh runs here. `make up` starts one.")
    url = Postgres(home.data("postgres"), ports[0]).url(database)
    which = ["--all"] if replay == "all" else ["--id", replay or ""]
    command = [sys.executable, "-m", "mesh.events", *(["replay", *which] if replay else ["list"])]
    return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False).returncode
