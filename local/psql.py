"""`make psql`: a psql session in the database of a service of the running mesh."""

import os

from local.home import Home
from local.postgres import Postgres
from local.running import chosen_service, port_of


def psql(home: Home, service: str | None) -> None:
    """Replaces this process by psql, as the role of the service, so that psql has the terminal and gets Ctrl-C."""
    database = chosen_service("psql", service, lambda each: each.declaration.database).name
    server = Postgres(home.data(Postgres.name), port_of(home, Postgres.name))
    program = str(server.psql_program())
    os.execve(program, [program], {**os.environ, **server.client_environment(database)})
