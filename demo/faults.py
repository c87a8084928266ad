"""The faults of a chaos run: processes die and stand still, databases end connections, and answers are lost."""

import asyncio
import contextlib
import os
import signal
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Final

import asyncpg
import psutil

from demo.link import Link
from local.errors import SetupError
from local.home import Home
from local.postgres import SUPERUSER, Postgres
from local.restart import STOPPED
from local.running import port_of
from local.state import ProcessState, State

SHARES: Final = {"kill": 45, "pause": 35, "disconnect": 10, "lose an answer": 10}
"""How often each kind of fault is drawn, in percent."""

PAUSE_S: Final = (0.2, 2.0)
ANSWER_S: Final = 5.0
"""How long an answer that can be lost is waited for."""


class Faults:
    """The faults of a seed, which happen one after the other."""

    def __init__(self, home: Home, link: Link, seed: int) -> None:
        self._home = home
        self._link = link
        self._seed = seed
        self._drawn = 0
        self.happened: Counter[str] = Counter()

    async def cause_one(self) -> None:
        """Causes the next fault. One that can't happen, because its process is away already, is left out. Raises
        SetupError if the mesh has stopped.
        """
        while not await self._cause(Random(f"{self._seed}:fault {self._drawn}")):
            await asyncio.sleep(0.1)

    async def _cause(self, chance: Random) -> bool:
        self._drawn += 1
        kind = chance.choices(list(SHARES), list(SHARES.values()))[0]
        process = chance.choice(processes_of(self._home))
        pause_s = chance.uniform(*PAUSE_S)
        match kind:
            case "kill":
                fault, happened = f"kill {process.name}", kill(process)
            case "pause":
                fault, happened = f"pause {process.name}", await pause(process, pause_s)
            case "disconnect":
                fault, happened = f"disconnect {process.name}", await self._disconnect(process)
            case _:
                fault, happened = kind, await self._link.lose_answer(ANSWER_S)
        if happened:
            self.happened[fault] += 1
        return happened

    async def _disconnect(self, process: ProcessState) -> bool:
        """Ends all connections of a process to its database, in the middle of what they do. Returns whether there were
        any.
        """
        server = Postgres(self._home.data(Postgres.name), port_of(self._home, Postgres.name))
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1"
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(server.url("postgres", SUPERUSER), timeout=ANSWER_S)
            try:
                return bool(await connection.fetchval(query, process.name, timeout=ANSWER_S))
            finally:
                connection.terminate()
        return False


def processes_of(home: Home) -> list[ProcessState]:
    """Returns the states of the processes. Raises SetupError if the mesh has stopped."""
    processes = State.read(home.state_file).processes
    if not processes:
        raise SetupError(STOPPED)
    return processes


def kill(process: ProcessState) -> bool:
    """Kills a process by SIGKILL. Returns False if it is away."""
    if process.pid is None:
        return False
    try:
        os.kill(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


async def pause(process: ProcessState, pause_s: float) -> bool:
    """Suspends a process for a while. Returns False if it is away."""
    with suspended(process) as happened:
        if happened:
            await asyncio.sleep(pause_s)
    return happened


@contextlib.contextmanager
def suspended(process: ProcessState) -> Iterator[bool]:
    """Suspends a process, with those it has started, while the block runs, as a partition of the network does. Yields
    False if it is away.
    """
    try:
        parent = psutil.Process(process.pid) if process.pid else None
        family = [parent, *parent.children(recursive=True)] if parent else []
    except psutil.NoSuchProcess:
        family = []
    try:
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.suspend()
        yield bool(family)
    finally:
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.resume()
