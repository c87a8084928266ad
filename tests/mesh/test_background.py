"""Background tasks."""

import asyncio

import pytest
import structlog

from mesh.background import Worker, WorkSignal, keep_running, stop, wait
from mesh.errors import Unavailable


async def test_work_continues_after_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails is repeated after a pause; a task that has ended is not repeated."""
    monkeypatch.setattr("mesh.background.PAUSE_FIRST_S", 0.001)
    ended, tries = asyncio.Event(), 0

    async def step() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise LookupError("not yet")
        ended.set()

    async with asyncio.timeout(30):
        await keep_running("test", step, ended)
    assert tries == 4


async def test_a_cancellation_that_nobody_asked_for_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client library cancels the future that a step awaits: the work goes on, and the log says why it paused."""
    monkeypatch.setattr("mesh.background.PAUSE_FIRST_S", 0.001)
    ended, tries = asyncio.Event(), 0

    async def step() -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            given_up = asyncio.get_running_loop().create_future()
            given_up.cancel()
            await given_up
        ended.set()

    with structlog.testing.capture_logs() as records:
        async with asyncio.timeout(30):
            await keep_running("test", step, ended)
    assert tries == 2
    assert [record["event"] for record in records] == ["background work failed", "background work resumed"]


async def test_a_lasting_failure_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first failure is logged with its cause, repetitions are not; another failure and the recovery are."""
    monkeypatch.setattr("mesh.background.PAUSE_FIRST_S", 0.001)
    failures = ["away", "away", "away", "busy", "", "away"]
    ended = asyncio.Event()

    async def step() -> None:
        if not failures:
            ended.set()
        elif failure := failures.pop(0):
            raise Unavailable(failure, reason="AWAY") from OSError("no route")

    with structlog.testing.capture_logs() as records:
        await keep_running("test", step, ended)
    assert [(record["event"], record.get("error"), record["failures"]) for record in records] == [
        ("background work failed", "away", 1),
        ("background work failed", "busy", 4),
        ("background work resumed", None, 4),
        ("background work failed", "away", 1),
        ("background work resumed", None, 1),
    ]
    assert records[0]["cause"] == "OSError: no route"


async def test_stopping_ends_work_for_good() -> None:
    """Cancelled tasks have ended when stop() returns."""

    async def idle() -> None:
        await asyncio.Event().wait()

    task = asyncio.create_task(keep_running("test", idle))
    await asyncio.sleep(0)
    await stop([task])
    assert task.cancelled()


async def test_waiting_ends_with_the_event_or_the_time() -> None:
    """Neither raises an error."""
    event = asyncio.Event()
    await wait(event, 0.001)
    assert not event.is_set()
    event.set()
    await wait(event, 30)


@pytest.mark.parametrize(("notified", "woken"), [(1, 1), (2, 2), (9, 3), (None, 3)])
async def test_as_many_tasks_are_woken_as_there_is_work_for(notified: int | None, woken: int) -> None:
    """notify() wakes this number of waiting tasks, all by default, and never more."""
    signal = WorkSignal(3)
    tasks = [asyncio.create_task(signal.wait(30)) for _ in range(3)]
    await asyncio.sleep(0)
    signal.notify(notified)
    async with asyncio.timeout(30):
        while sum(task.done() for task in tasks) < woken:
            await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert sum(task.done() for task in tasks) == woken
    await stop(tasks)


async def test_a_signal_that_nobody_waits_for_is_kept() -> None:
    """A task that was busy at the signal does not wait next time, but waits the time after."""
    signal = WorkSignal(2)
    signal.notify(1)
    async with asyncio.timeout(30):
        await signal.wait(3600)
    again = asyncio.create_task(signal.wait(3600))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not again.done()
    await stop([again])


async def test_a_signal_is_waited_for_until_the_timeout() -> None:
    """A task continues without a signal after the timeout."""
    async with asyncio.timeout(30):
        await WorkSignal(1).wait(0.001)


async def test_work_that_swallows_its_cancellation_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that turns the cancellation into an error of its own does not keep the work running."""
    monkeypatch.setattr("mesh.background.PAUSE_FIRST_S", 0.001)
    monkeypatch.setattr("mesh.background.CANCEL_AGAIN_S", 0.01)
    cancellations = 0

    async def step() -> None:
        nonlocal cancellations
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancellations += 1
            if cancellations < 3:
                raise ConnectionError("closed") from None
            raise

    task = asyncio.create_task(keep_running("test", step))
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await stop([task])
    assert task.cancelled()


async def test_a_worker_repeats_its_steps_while_its_context_lasts() -> None:
    """Each step by as many tasks as it is given, and none afterwards."""
    running: set[str] = set()
    entered = asyncio.Event()

    async def step() -> None:
        running.add(str(id(asyncio.current_task())))
        if len(running) == 4:
            entered.set()
        await asyncio.sleep(60)

    before = asyncio.all_tasks()
    async with Worker({"a": step, "b": step}, tasks_each=2):
        async with asyncio.timeout(30):
            await entered.wait()
    assert asyncio.all_tasks() == before


async def test_stopping_completes_when_it_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work that needs a second cancellation is not left behind."""
    monkeypatch.setattr("mesh.background.CANCEL_AGAIN_S", 0.02)
    cancellations = 0

    async def stubborn() -> None:
        nonlocal cancellations
        while cancellations < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancellations += 1

    work = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(stop([work]))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert work.done()
