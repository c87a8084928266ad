"""Background tasks that run until they are stopped."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable

import structlog

from mesh.errors import MeshError

log = structlog.get_logger()

PAUSE_FIRST_S = 0.1
PAUSE_MAX_S = 5.0


async def keep_running(name: str, step: Callable[[], Awaitable[None]], ended: asyncio.Event | None = None) -> None:
    """Repeats `step` until `ended` is set or the task is cancelled. Logs each failure, then waits, longer each time."""
    loop = asyncio.get_running_loop()
    pause_s = PAUSE_FIRST_S
    while ended is None or not ended.is_set():
        started = loop.time()
        try:
            await step()
        except Exception as error:
            if loop.time() - started > PAUSE_MAX_S:
                pause_s = PAUSE_FIRST_S
            expected = isinstance(error, MeshError)
            log.warning("background work failed", work=name, error=str(error), pause_s=pause_s, exc_info=not expected)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, PAUSE_MAX_S)
        else:
            pause_s = PAUSE_FIRST_S


async def wait(event: asyncio.Event, timeout_s: float) -> None:
    """Waits until the event is set or the timeout expires."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


async def stop(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancels tasks and waits until they have ended."""
    running = list(tasks)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
