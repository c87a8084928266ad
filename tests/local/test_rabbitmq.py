"""The RabbitMQ server of tests and of the local mesh."""

import asyncio
from pathlib import Path
from typing import Final

import psutil

from local.rabbitmq import RabbitMQServer
from tests.broker import RABBITMQ_ADMIN

STARTER: Final = ("-boot", "no_dot_erlang", "-sname", "starter", "-noinput", "-s", "erlang", "halt")
"""RabbitMQ runs Erlang with these arguments once a minute, so that there is a port mapper."""


async def test_two_run_side_by_side_and_leave_nothing_behind(tmp_path: Path) -> None:
    """Each listens on the loopback interface only; no port mapper runs, and all processes end with the server."""
    before = set(psutil.pids())
    async with (
        RabbitMQServer(tmp_path / "one", [RABBITMQ_ADMIN]) as one,
        RabbitMQServer(tmp_path / "two", [RABBITMQ_ADMIN]) as two,
    ):
        own = _descendants(before)
        addresses = {
            connection.laddr.ip
            for process in own
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert addresses == {"127.0.0.1"}
        assert one.port != two.port
        assert "epmd" not in {process.name() for process in own}
        mappers = _port_mappers()
        environment = next(process.environ() for process in own if process.name() == "beam.smp")
        erlang = Path(environment["ROOTDIR"], "bin", "erl")
        starter = await asyncio.create_subprocess_exec(
            erlang, *STARTER, env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        await starter.wait()
        assert _port_mappers() == mappers
    gone, alive = psutil.wait_procs(own, timeout=30)
    assert (len(gone), alive) == (len(own), [])


def _port_mappers() -> set[int]:
    return {each.pid for each in psutil.process_iter(["name"]) if each.info["name"] == "epmd"}


def _descendants(before: set[int]) -> list[psutil.Process]:
    """Returns the processes that this one has started since, and theirs. Those of older servers come and go."""
    started = [process for process in psutil.Process().children() if process.pid not in before]
    return [each for process in started for each in (process, *process.children(recursive=True))]
