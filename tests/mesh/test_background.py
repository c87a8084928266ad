"""Background tasks."""

import asyncio

import pytest

from mesh.background import keep_running, stop, wait


async def test_work_goes_on_after_failures(monkeypatch: pytest.MonkeyPatch) -> None:
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
