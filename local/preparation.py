"""The steps before the processes start, or restart with changed code."""

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import asyncpg

from local import processes
from local.brokers import BrokerServer
from local.child import Child, Command
from local.declarations.checkout import read_services
from local.declarations.service import Service
from local.errors import SetupError
from local.home import Home
from local.output import Console, LogFile
from local.postgres import Postgres
from mesh.contract.events import Participant
from mesh.errors import Unavailable
from mesh.events.adapters import provision
from mesh.events.nats.users import PROVISIONER


class Preparation:
    """The steps for the services that the checkout declared when `make up` started. Each raises SetupError."""

    def __init__(
        self, home: Home, services: Sequence[Service], postgres: Postgres, broker: BrokerServer, console: Console
    ) -> None:
        self._home = home
        self._services = services
        self._postgres = postgres
        self._broker = broker
        self._console = console

    async def generate(self) -> None:
        """Generates gen/ from the contracts. The first time, this installs the tools for it. No process reads the
        chart's golden files, so these wait for `make generate`.
        """
        await self._run_once("generation", Command(("make", "--no-print-directory", "generate", "GOLDEN=off")))

    async def prepare(self) -> None:
        """Updates the databases to what the code expects now. The broker needs nothing: the events of each service are
        part of its declaration here, which may not change.
        """
        if read_services(Path()) != tuple(self._services):
            raise SetupError(
                "The declarations of services have changed. To apply them, stop `make up` and start it again."
            )
        await self.prepare_databases()

    async def prepare_databases(self) -> None:
        """Creates and migrates the databases, unless the same migrations were applied before."""
        stamp = self._postgres.data / "migrated"  # it is gone with the databases
        digest = hashlib.sha256()
        for path in processes.migrations(self._services):
            digest.update(b"%s\0%s\0" % (str(path).encode(), path.read_bytes()))
        if stamp.exists() and stamp.read_text() == digest.hexdigest():
            return
        names = [service.name for service in self._services if service.declaration.database]
        try:
            await self._postgres.create_databases(*names)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log = self._home.log(self._postgres.name)
            raise SetupError(f"The databases could not be created ({error}); see PostgreSQL's log: {log}") from error
        argv = (sys.executable, "-m", "mesh.migrations", *names)
        await self._run_once("migrations", Command(argv, processes.database_urls(self._services, self._postgres)))
        stamp.write_text(digest.hexdigest())

    async def provision_broker(self, services: Sequence[Participant]) -> None:
        """Provisions the broker for the events of these services."""
        try:
            await provision(self._broker.url(PROVISIONER), services)
        except Unavailable as error:
            log = self._home.log(self._broker.name)
            raise SetupError(f"The broker could not be provisioned ({error.__cause__}); see its log: {log}") from error

    async def _run_once(self, name: str, command: Command) -> None:
        """Runs a program, logs its output and waits for its end. Raises SetupError if it fails."""
        child = await Child.start(command)
        log = LogFile(self._home.log(name))
        try:
            async for line in child.lines():
                log.write(line)
                self._console.line(name, line)
            if await child.wait() != 0:
                raise SetupError(f"The {name} failed; see its log: {self._home.log(name)}")
        finally:
            child.kill()
            await child.wait()
            log.close()
