"""One program run as a child."""

import os
import signal
import sys

import psutil
import pytest

from local.child import LINE_BYTES_MAX, Child, Command
from local.errors import SetupError


def python(program: str) -> Command:
    """A command that runs this program text."""
    return Command((sys.executable, "-c", program), {"GREETING": "hello"})


async def test_its_output_comes_by_lines() -> None:
    """Both streams are read, the last line needs no end, and the environment is ours with what was added."""
    program = "import os, sys; print(os.environ['GREETING']); print('oops', file=sys.stderr, end='')"
    child = await Child.start(python(program))
    assert sorted([line async for line in child.lines()]) == [b"hello", b"oops"]
    assert await child.wait() == 0


async def test_a_line_without_end_comes_in_pieces() -> None:
    """A program that prints without end takes no more than a bounded memory of ours."""
    size_bytes = 5 * LINE_BYTES_MAX
    child = await Child.start(python(f"print('x' * {size_bytes}, end='')"))
    lines = [line async for line in child.lines()]
    assert max(map(len, lines)) <= 2 * LINE_BYTES_MAX
    assert sum(map(len, lines)) == size_bytes


async def test_it_has_a_session_of_its_own() -> None:
    """A terminal's Ctrl-C goes to the foreground process group, which the child is not in."""
    child = await Child.start(python("import os; print(os.getsid(0))"))
    assert [line async for line in child.lines()] == [str(child.pid).encode()]
    assert child.pid != os.getsid(0)
    assert await child.stop(grace_s=5) == 0


async def test_it_is_stopped_while_nobody_reads_its_output() -> None:
    """A program that waits for its reader is killed, and its exit is seen; so is that of one whose child lives on."""
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    writing = await Child.start(python(f"{deaf}while True: print('x' * 1000)"))
    lines = aiter(writing.lines())
    await anext(lines)
    assert await writing.stop(grace_s=0.1) == -signal.SIGKILL
    assert len([line async for line in lines]) > 1, "what it had written is still there"
    heir = "import subprocess; print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid, flush=True)"
    parent = await Child.start(python(heir))
    assert await parent.wait() == 0
    async for line in parent.lines():
        os.kill(int(line), signal.SIGKILL)


async def test_it_is_killed_with_all_that_it_started() -> None:
    """No descendant lives on, also not one in another session, as PostgreSQL's backends are."""
    heir = "import os, subprocess; subprocess.run(['sh', '-c', 'echo $$; sleep 60'], start_new_session=True)"
    parent = await Child.start(python(heir))
    started = psutil.Process(int(await anext(parent.lines())))
    family = [started, *started.children()]
    parent.kill()
    assert await parent.wait() == -signal.SIGKILL
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive


async def test_a_missing_program_is_an_error() -> None:
    """The error names the program and says how to get it."""
    with pytest.raises(SetupError, match="/nowhere/program is missing"):
        await Child.start(Command(("/nowhere/program",)))
