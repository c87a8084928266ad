"""The edge with one worker and with two: what a call costs them, and the memory that they take.

Run it as `make bench-workers`. Both get the same load in turn. The figures are those of all their processes: CPU time
as the operating system accounts it, memory as the proportional share of each page (PSS).
"""

import subprocess
import time

from benchmarks.edge import apply_load, url, wait_for
from benchmarks.machine import describe, lines
from benchmarks.program import cpu_s, family, printed_port, program
from benchmarks.rounds import Spread
from local.ports import free_ports

ROUNDS = 9
REQUESTS = 4000
WORKERS = (1, 2)


def main() -> None:
    """Prints the table."""
    print("\n".join(lines(describe(["uvicorn", "uvloop", "prometheus_client"]))))
    ports = free_ports(len(WORKERS))
    with program("benchmarks/backend.py", stdout=subprocess.PIPE) as backend:
        address = f"127.0.0.1:{printed_port(backend)}"
        edge = ("-m", "edge", "--contracts", "gen/contracts.binpb", "--upstream", f"*={address}")
        one, two = ((*edge, "--port", port, "--workers", count) for count, port in zip(WORKERS, ports, strict=True))
        with program(*one) as single, program(*two) as pair:
            pids = [single.pid, pair.pid]
            for port in ports:
                wait_for(url(port))
            time.sleep(3)  # the second worker starts once the first one serves
            rounds = [[measured(pid, port) for pid, port in zip(pids, ports, strict=True)] for _ in range(ROUNDS)]
            memory = [pss_mb(pid) for pid in pids]
    report(rounds, memory)


def measured(pid: int, port: int) -> dict[str, float]:
    """Applies the load. Returns the CPU time and the elapsed time a request, in microseconds, and the share of the CPU
    time that the busiest process took.
    """
    apply_load(port, REQUESTS // 10)
    before, began = times(pid), time.perf_counter()
    apply_load(port, REQUESTS)
    elapsed_s, after = time.perf_counter() - began, times(pid)
    used = [after[each] - before[each] for each in after]
    return {"cpu": sum(used) / REQUESTS * 1e6, "elapsed": elapsed_s / REQUESTS * 1e6, "busiest": max(used) / sum(used)}


def times(pid: int) -> dict[int, float]:
    """Returns the CPU time in seconds of a process and of each of its descendants."""
    return {each.pid: cpu_s(each) for each in family(pid)}


def pss_mb(pid: int) -> float:
    """Returns the memory of a process and its descendants, in MB."""
    return sum(float(each.memory_full_info().pss) for each in family(pid)) / 1e6


def report(rounds: list[list[dict[str, float]]], memory: list[float]) -> None:
    """Prints the medians, the spread, and the ratios of two workers to one in the same round."""
    print(f"GetOrder, {REQUESTS} requests a round, {ROUNDS} rounds")
    for name, unit in (("cpu", "µs CPU a request"), ("elapsed", "µs elapsed a request")):
        single, pair = ([side[name] for side in column] for column in zip(*rounds, strict=True))
        print(f"{unit}: 1 worker {Spread.of(single).text(1)}, 2 workers {Spread.of(pair).text(1)}", end=", ")
        print(f"ratio {Spread.of_ratios(pair, single).text(2)}")
    print(f"share of the busier worker: {Spread.of([pair['busiest'] for _, pair in rounds]).text(2)}")
    print(f"memory: 1 worker {memory[0]:.0f} MB, 2 workers {memory[1]:.0f} MB")


if __name__ == "__main__":
    main()
