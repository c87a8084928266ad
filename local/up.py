"""`make up`: runs the whole mesh, from its folder to its welcome text."""

import asyncio
import signal
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from protobuf import Registry

from local import brokers, processes
from local.declarations.checkout import read_services
from local.declarations.image import read_contracts
from local.declarations.service import Service
from local.home import Home
from local.output import Console
from local.ports import choose_ports
from local.postgres import Postgres
from local.preparation import Preparation
from local.reload import Reloader
from local.settings import ReloadSettings, read_settings
from local.state import State
from local.supervised_process import SupervisedProcess
from local.supervisor import Supervisor, end_leftovers
from local.welcome import welcome, write_staff_login
from mesh.contract.events import participants

LEFTOVERS_GRACE_S = 10.0


async def up(home: Home) -> None:
    """Runs the mesh until SIGINT, SIGTERM or SIGHUP; under nohup(1) it ignores SIGHUP. Raises SetupError for problems
    that the developer has to fix.
    """
    reloads = read_settings(ReloadSettings).reload == "on"
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signum != signal.SIGHUP or signal.getsignal(signum) != signal.SIG_IGN:
            loop.add_signal_handler(signum, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, lambda: None)  # ignored until there are processes to restart
    home.create()
    with home.lock():
        end_leftovers(State.read(home.state_file).processes, LEFTOVERS_GRACE_S)
        contracts = read_contracts(Path())
        services = read_services(Path(), contracts)
        ports = choose_ports(processes.port_variables(services))
        names = [service.workload for service in services]
        with Console(["postgres", brokers.chosen(), "mail", "migrations", "generation", *names, "edge"]) as console:
            try:
                await _until(stop, _run(home, contracts, services, ports, console, reloads=reloads))
            finally:
                home.state_file.unlink(missing_ok=True)
            console.report("stopped")


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Runs the work until it fails or `stop` is set."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


async def _run(
    home: Home,
    contracts: Registry,
    declared: Sequence[Service],
    ports: dict[str, int],
    console: Console,
    *,
    reloads: bool,
) -> None:
    """Starts everything, prints the welcome and keeps it running forever. When cancelled, it stops everything."""
    console.report("starting")
    postgres = Postgres(home.data("postgres"), ports["POSTGRES_PORT"])
    with_events = participants(contracts)
    broker = brokers.broker(home, with_events, ports)
    mail = processes.mail(home, ports)
    servers: list[SupervisedProcess] = [postgres, broker, mail]
    services = [processes.service(each, declared, home, ports, postgres, broker) for each in declared]
    edge = processes.edge(declared, ports)
    preparation = Preparation(home, declared, postgres, broker, console)
    async with Supervisor(home, console, [*servers, *services, edge]) as supervisor:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: supervisor.restart(*home.take_restarts()))
        reloader = Reloader(Path.cwd(), [mail, *services, edge], preparation, supervisor.restart, console.report)
        supervisor.start(*servers)
        await supervisor.ready(postgres)
        await preparation.prepare_databases()
        await supervisor.ready(broker)
        await preparation.provision_broker(with_events)
        supervisor.start(*services)
        supervisor.start(edge)
        await supervisor.ready(*servers, *services, edge)
        staff_email = processes.staff_email(declared)
        write_staff_login(home, ports, staff_email)
        console.show(welcome(home, ports, staff_email))
        await _first(supervisor.run(), *([reloader.run()] if reloads else []))


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Runs all of these until one ends or fails."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
