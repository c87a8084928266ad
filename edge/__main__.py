"""The edge as a command: `python -m edge --contracts image.binpb --upstream pkg.Service=host:port --port 8080`."""

import signal

if __name__ == "__main__":
    # Without a handler SIGHUP ends a process, and the imports alone take half a second. Blocked, also in the workers
    # that inherit this, it waits until run_edge() can reload.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

import gc
import os
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

import uvloop

from edge.app.bound_sockets import BoundSockets
from edge.app.edge_process import contracts_of, run_edge, upstreams_of, warn_unresolvable
from edge.app.reloading import check_upstreams
from edge.app.routes import build_routes
from edge.call.allowances import Allowances
from edge.call.no_upstream import NoUpstream
from edge.call.shared_allowances import SharedAllowances
from edge.contract.contract import read
from edge.settings import EdgeSettings, from_command_line
from edge.workers.heartbeats import Heartbeats
from edge.workers.shared_folder import keep_metrics_of, shared_folder
from edge.workers.supervisor import Supervisor
from edge.workers.worker_settings import worker_settings
from mesh import telemetry
from mesh.malloc import share_one_arena
from mesh.process import end_with, run_to_end

GC_THRESHOLD: Final = 50_000
"""The number of new objects that starts the garbage collector. With Python's default, 700, it repeatedly scans the
objects of thousands of open streams and finds no garbage, which costs a third of the time to open a stream.
"""

STOP_S: Final = 10.0
"""The time that a worker has to stop, beside the times of its drain and its shutdown, before it is killed."""


def main(arguments: Sequence[str]) -> NoReturn:
    """Runs the edge until SIGTERM or SIGINT. With --check prints the routes and problems instead."""
    settings, check_only = from_command_line(arguments)
    if check_only:
        run_to_end("edge", _check(settings))
    end_with("edge", lambda: _run(settings))


def _run(settings: EdgeSettings) -> int:
    telemetry.configure_logs("edge", settings)
    gc.set_threshold(GC_THRESHOLD)
    share_one_arena()
    sockets = BoundSockets.bind(settings)
    if settings.workers > 1:
        return _run_workers(settings, sockets)
    telemetry.configure_traces("edge", settings)
    return uvloop.run(run_edge(settings, sockets[0], Allowances()))


def _run_workers(settings: EdgeSettings, sockets: list[BoundSockets]) -> int:
    """Runs the workers until SIGTERM or SIGINT. Returns the exit status."""
    divided, beats, parent = worker_settings(settings), Heartbeats(settings.workers), os.getpid()
    stop_s = settings.drain_s_max + settings.drain_quiet_s + settings.shutdown_grace_s + STOP_S
    with shared_folder() as folder:
        allowances = SharedAllowances(folder / "allowances.lock")

        def work(worker: int) -> NoReturn:
            telemetry.configure_traces("edge", settings)
            keep_metrics_of(worker)
            run_to_end("edge", run_edge(divided, sockets[worker], allowances, beats.beat(worker, parent)))

        gc.freeze()  # what is imported now stays in memory that the workers share
        return Supervisor(sockets, work, beats, stop_s).run()


async def _check(settings: EdgeSettings) -> int:
    """Prints every route and every problem. Returns the exit status, which is 1 if the edge would not start. Without
    upstreams this is about the contracts alone, for builds that don't know the addresses.
    """
    telemetry.configure_logs("edge", settings)
    await warn_unresolvable(settings)
    async with upstreams_of(settings) as upstreams:
        contract = read(await contracts_of(settings, upstreams).read())
    routes = build_routes(contract, settings, NoUpstream, None)
    for each in routes.served:
        print(f"{each.http_method:7} {each.template.text}  {each.method.name}")
    for problem in routes.problems:
        print(problem, file=sys.stderr)
    if settings.upstreams:
        check_upstreams(contract, settings)
    return 1 if any(problem.fatal for problem in routes.problems) and not settings.lenient else 0


if __name__ == "__main__":
    main(sys.argv[1:])
