"""The life cycle of a process: settings, start, readiness, drain, exit."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, NoReturn, TypeVar

import structlog
import uvloop

from mesh import telemetry
from mesh.background import stop
from mesh.errors import MeshError
from mesh.listening import bind
from mesh.operations import OpsServer, Readiness
from mesh.settings import ProcessSettings, load

S = TypeVar("S", bound=ProcessSettings)
T = TypeVar("T")

log = structlog.get_logger()


class Process:
    """A process of the mesh and its components, which are closed in reverse order when it stops."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.readiness = Readiness()
        self._stack = AsyncExitStack()
        self._stop = asyncio.Event()
        self._failure: BaseException | None = None

    async def enter(self, component: AbstractAsyncContextManager[T], *, required: bool = True) -> T:
        """Starts a component. If the result has a `name` and an async `check()`, readiness includes that check, unless
        the component is not `required` because the process can do other work without it.
        """
        entered = await self._stack.enter_async_context(component)
        check: Any = entered
        if required and hasattr(check, "check") and hasattr(check, "name"):
            self.readiness.add(check)
        return entered

    def spawn(self, coroutine: Coroutine[Any, Any, None], *, name: str) -> None:
        """Runs a task until the process stops. If the task fails, the process stops too, because a restart is better
        than a process that works in part.
        """
        task = asyncio.create_task(coroutine, name=name)
        task.add_done_callback(self._task_done)
        self._stack.push_async_callback(stop, [task])

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failure = failure
            self._stop.set()
            log.error("task failed, stopping the process", task=task.get_name(), exc_info=failure)

    async def run(self, wire: Callable[[], Awaitable[None]]) -> int:
        """Starts the components, waits for SIGTERM or SIGINT, then drains. Returns the exit status."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._stop.set)
        async with self._stack:
            starting = asyncio.ensure_future(wire())
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
            else:
                await starting
                self.readiness.serve()
                log.info("ready", process=self.name)
                await stopping
            log.info("draining", process=self.name)
            self.readiness.drain()
        return 1 if self._failure else 0


def run(name: str, settings_type: type[S], wire: Callable[[Process, S], Awaitable[None]]) -> NoReturn:
    """Runs a process until its exit: reads its settings, sets up telemetry and the operations port, starts the
    components that `wire` enters, and drains.
    """
    settings = load(settings_type)
    telemetry.configure(name, settings)

    async def main() -> int:
        process = Process(name)

        async def start() -> None:
            await process.enter(OpsServer(process.readiness, bind(settings.listen_host, settings.ops_port)))
            await wire(process, settings)

        return await process.run(start)

    run_to_end(name, main())


def run_to_end(name: str, main: Coroutine[Any, Any, int]) -> NoReturn:
    """Runs `main` in an event loop, then ends the process as end_with() does."""
    end_with(name, lambda: uvloop.run(main))


def end_with(name: str, main: Callable[[], int]) -> NoReturn:
    """Runs `main`, which returns the exit status, then ends the process. An exception ends it with the status 1: the
    message of a MeshError is printed on standard error, others are logged with their traceback.
    """
    try:
        status = main()
    except MeshError as error:
        print(f"{name}: {error.message}", file=sys.stderr)
        status = 1
    except Exception:
        log.exception("process failed", process=name)
        status = 1
    end(status)


def end(status: int) -> NoReturn:
    """Ends this process at once, after everything is drained and closed. Python's own exit would first destroy every
    object, which takes 16 s for an edge that serves 14,000 methods.
    """
    telemetry.flush()
    os._exit(status)
