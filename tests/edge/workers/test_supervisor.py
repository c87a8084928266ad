"""The parent of the workers, with workers that do nothing but fail."""

import subprocess
import sys

SUPERVISED = """
import asyncio, os, signal, sys, time
from edge.workers import supervisor
from edge.workers.heartbeats import Heartbeats
from mesh import telemetry
from mesh.settings import ProcessSettings

telemetry.configure_logs("test", ProcessSettings(log_format="json"))
supervisor.CHECK_S, supervisor.SILENT_CHECKS_MAX = 0.05, 9
parent, beats, started = os.getpid(), Heartbeats({workers}), Heartbeats({workers})

def work(worker):
    again = started.count(worker)
    asyncio.run(beat_once(started, worker))
{body}
    os._exit(0)

async def beat_once(beats, worker):
    beating = asyncio.create_task(beats.beat(worker, parent))
    await asyncio.sleep(0.05)
    beating.cancel()

class Sockets:
    def refuse(self):
        print("refused", flush=True)

sys.exit(supervisor.Supervisor([Sockets()] * {workers}, work, beats, {stop_s}).run())
"""


def supervise(*body: str, workers: int = 1, stop_s: float = 30.0) -> subprocess.CompletedProcess[str]:
    """Runs a supervisor whose workers run these lines."""
    lines = "\n".join(f"    {line}" for line in body)
    code = SUPERVISED.format(workers=workers, stop_s=stop_s, body=lines)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_a_hung_worker_is_replaced() -> None:
    """A worker whose event loop hangs is killed and replaced; its successor stops the test."""
    ended = supervise(
        "if again:",
        "    print('replaced', flush=True)",  # before the parent is stopped, which ends this process
        "    os.kill(parent, signal.SIGTERM)",
        "    time.sleep(60)",
        "asyncio.run(beat_once(beats, worker))",
        "time.sleep(60)",
    )
    assert "replaced" in ended.stdout
    assert "worker does not answer, killed" in ended.stderr


def test_a_worker_that_does_not_stop_is_killed() -> None:
    """The supervisor ends with the status of the killed worker, once its socket refuses connections."""
    ended = supervise(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        "os.kill(parent, signal.SIGTERM)",
        "time.sleep(60)",
        stop_s=0.2,
    )
    assert ended.stdout == "refused\n"
    assert ended.returncode == 128 + 9
    assert "worker does not answer, killed" in ended.stderr


def test_a_first_worker_that_never_serves_ends_all() -> None:
    """The supervisor exits with the status of the first worker, and never starts the second."""
    ended = supervise("os._exit(3)", workers=2)
    assert ended.returncode == 3
    assert ended.stderr.count("worker started") == 1


def test_a_worker_that_ends_is_replaced_after_a_pause() -> None:
    """The log has its status and the pause; meanwhile its socket refuses connections."""
    ended = supervise(
        "asyncio.run(beat_once(beats, worker))",
        "if again: os.kill(parent, signal.SIGTERM)",
        "os._exit(7)",
    )
    assert '"status":7,"pause_s":1.0' in ended.stderr
    assert ended.stderr.count("worker started") >= 2
    assert ended.stdout.startswith("refused\n")
