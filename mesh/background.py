"""Background tasks that run until they are stopped."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self, TypeAlias

import structlog

from mesh.errors import MeshError

Step: TypeAlias = Callable[[], Awaitable[None]]

log = structlog.get_logger()

PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 5.0
LOG_AGAIN_S = 60.0
CANCEL_AGAIN_S = 0.5


async def keep_running(name: str, step: Step, ended: asyncio.Event | None = None) -> None:
    """Repeats `step` until `ended` is set or the task is cancelled. After a failure, also a CancelledError that nobody
    asked for, it waits, longer each time.

    Logs a failure when it is first seen, once a minute while it lasts, and when it is over.
    """
    loop = asyncio.get_running_loop()
    pause_s = PAUSE_FIRST_S
    logged, logged_at, failures = "", 0.0, 0
    while ended is None or not ended.is_set():
        started = loop.time()
        try:
            with uncancelled():
                await step()
        except Exception as error:
            if loop.time() - started > PAUSE_MAX_S:
                pause_s, logged = PAUSE_FIRST_S, ""
            failures += 1
            text = f"{type(error).__name__}: {error}"
            if text != logged or loop.time() - logged_at > LOG_AGAIN_S:
                expected = isinstance(error, MeshError)
                facts = {"work": name, "error": str(error), "cause": _cause(error), "failures": failures}
                log.warning("background work failed", **facts, exc_info=not expected)
                logged, logged_at = text, loop.time()
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
        else:
            if failures:
                log.info("background work resumed", work=name, failures=failures)
            pause_s = PAUSE_FIRST_S
            logged, failures = "", 0


@contextlib.contextmanager
def uncancelled() -> Iterator[None]:
    """Raises ConnectionError in the place of a CancelledError that nobody asked this task for.

    Client libraries cancel the futures that wait for a connection when they give it up. Whoever awaits one gets the
    CancelledError although its task was not cancelled: the task would end without a word, and its work with it.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if is_cancelling():
            raise
        raise ConnectionError("the connection was lost") from error


def is_cancelling() -> bool:
    """Returns whether the current task is being cancelled. A function, because a frame of the CancelledError must not
    refer to the task, which keeps the error.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def _cause(error: Exception) -> str | None:
    cause = error.__cause__
    return f"{type(cause).__name__}: {cause}" if cause else None


async def wait(event: asyncio.Event, timeout_s: float) -> None:
    """Waits until the event is set or the timeout expires."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


class WorkSignal:
    """Wakes as many waiting tasks as there is work for; an asyncio.Event would wake all, most of them for nothing.

    A signal while no task waits is kept for the next one that does.
    """

    def __init__(self, tasks: int) -> None:
        """Prepares a signal that this number of tasks wait for."""
        self._pending: asyncio.Queue[None] = asyncio.Queue(tasks)

    def notify(self, tasks: int | None = None) -> None:
        """Wakes this number of tasks, by default all."""
        for _ in range(self._pending.maxsize if tasks is None else min(tasks, self._pending.maxsize)):
            with contextlib.suppress(asyncio.QueueFull):
                self._pending.put_nowait(None)

    async def wait(self, timeout_s: float) -> None:
        """Waits until this task is notified or the timeout expires."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._pending.get()


async def stop(tasks: Iterable[asyncio.Task[object]]) -> None:
    """Cancels tasks and waits until they have ended, also if the caller is cancelled meanwhile: nobody else would end
    them. A task that keeps running is cancelled again: a client library may turn the cancellation of one of its calls
    into another error.
    """
    stopped = list(tasks)
    running = set(stopped)
    cancelled: asyncio.CancelledError | None = None
    while running:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
        except asyncio.CancelledError as error:
            cancelled = error
        running = {task for task in running if not task.done()}
    await asyncio.gather(*stopped, return_exceptions=True)  # else asyncio logs their errors
    if cancelled is not None:
        raise cancelled


async def finish(tasks: Iterable[asyncio.Task[None]], within_s: float) -> None:
    """Waits until tasks have ended. Stops those that have not in time, or once the caller is cancelled."""
    finishing = list(tasks)
    try:
        if finishing:
            await asyncio.wait(finishing, timeout=within_s)
    finally:
        await stop(finishing)


class Worker:
    """A component of a process that repeats its steps in the background while its context lasts."""

    def __init__(self, steps: Mapping[str, Step], *, tasks_each: int = 1) -> None:
        """Prepares the worker. `steps` are by the names that logs show; each is repeated by `tasks_each` tasks."""
        self._steps = steps
        self._tasks_each = tasks_each
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [
            asyncio.create_task(keep_running(name, step))
            for name, step in self._steps.items()
            for _ in range(self._tasks_each)
        ]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await stop(self._tasks)
