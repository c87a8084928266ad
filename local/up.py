"""`make up`: the whole mesh, from its folder to the sentence that says where it is."""

import asyncio
import hashlib
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nats import errors as nats_errors
from protobuf.wkt import FileDescriptorSet

from local import processes
from local.child import Child, Command
from local.declarations.checkout import read_services
from local.declarations.service import Service
from local.errors import SetupError
from local.home import Home
from local.nats import Nats
from local.output import Console, LogFile
from local.part import Part
from local.ports import choose_ports
from local.postgres import Postgres
from local.state import State
from local.supervisor import Supervisor, end_leftovers
from local.welcome import welcome, write_staff_login
from mesh.contract.events import participants
from mesh.events.nats.provision import declared_consumers, provision
from mesh.events.nats.users import PROVISIONER, users

LEFTOVERS_GRACE_S = 10.0


async def up(home: Home) -> None:
    """Run the mesh until SIGINT, SIGTERM or SIGHUP. Raises SetupError, or WrongDeclarations, with what has to be put
    right.
    """
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    home.create()
    with home.lock():
        end_leftovers(State.read(home.state_file).processes, LEFTOVERS_GRACE_S)
        contracts = FileDescriptorSet.from_binary(Path(processes.CONTRACTS).read_bytes())
        services = read_services(Path(), contracts)
        ports = choose_ports(processes.port_variables(services))
        names = [service.workload for service in services]
        with Console(["postgres", "nats", "mail", "migrations", *names, "edge"]) as console:
            try:
                await _until(stop, _run(home, contracts, services, ports, console))
            finally:
                home.state_file.unlink(missing_ok=True)
            console.say("stopped")


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it fails, or until told to stop."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def _run(
    home: Home, contracts: FileDescriptorSet, declared: Sequence[Service], ports: dict[str, int], console: Console
) -> None:
    """Start everything, say so, and keep it running for ever. When cancelled, it stops everything."""
    console.say("starting")
    postgres = Postgres(home.data("postgres"), ports["POSTGRES_PORT"])
    nats = Nats(home.data("nats"), users(participants(contracts)), ports["NATS_PORT"])
    servers: list[Part] = [postgres, nats, processes.mail(home, ports)]
    services = [processes.service(each, declared, home, ports, postgres, nats) for each in declared]
    edge = processes.edge(declared, ports)
    async with Supervisor(home, console, [*servers, *services, edge]) as supervisor:
        supervisor.start(*servers)
        await supervisor.ready(postgres)
        await _prepare_databases(home, declared, postgres, console)
        await supervisor.ready(nats)
        await _prepare_broker(home, nats, contracts)
        supervisor.start(*services)
        supervisor.start(edge)
        await supervisor.ready(*servers, *services, edge)
        staff_email = processes.staff_email(declared)
        write_staff_login(home, ports, staff_email)
        console.show(welcome(home, ports, staff_email))
        await supervisor.keep()


async def _prepare_databases(home: Home, services: Sequence[Service], postgres: Postgres, console: Console) -> None:
    """Create and migrate them, unless that was done with the same migrations before."""
    stamp = postgres.folder / "migrated"
    digest = hashlib.sha256()
    for path in processes.migrations(services):
        digest.update(b"%s\0%s\0" % (str(path).encode(), path.read_bytes()))
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    names = [service.name for service in services if service.declaration.database]
    await postgres.create_databases(*names)
    argv = (sys.executable, "-m", "mesh.migrations", *names)
    await _run_once("migrations", Command(argv, processes.database_urls(services, postgres)), home, console)
    stamp.write_text(digest.hexdigest())


async def _prepare_broker(home: Home, nats: Nats, contracts: FileDescriptorSet) -> None:
    """Make the stream and the consumers that the contracts ask for. Raises SetupError."""
    try:
        await provision(nats.url(PROVISIONER), declared_consumers(contracts))
    except (nats_errors.Error, OSError) as error:
        raise SetupError(f"The broker refuses its stream ({error}); what it says: {home.log('nats')}") from error


async def _run_once(name: str, command: Command, home: Home, console: Console) -> None:
    """Run a program to its end. Raises SetupError when it fails."""
    child = await Child.start(command)
    log = LogFile(home.log(name))
    try:
        async for line in child.lines():
            log.write(line)
            console.line(name, line)
        if await child.wait() != 0:
            raise SetupError(f"The {name} failed; what they say: {home.log(name)}")
    finally:
        child.kill()
        log.close()
