"""The table of the comparison of the stores, and its figures."""

import subprocess
import sys

import psutil
import pytest

from benchmarks.program import tree_cpu_s
from benchmarks.store import Figures, Row, latencies, parts, rounded, table

COST = [{"cost": 2.0, "rate": 10.0}, {"cost": 3.0, "rate": 20.0}]
ROUNDS = {
    "ours": COST,
    "twin": [{"cost": 4.0, "rate": 5.0}, {"cost": 9.0, "rate": 5.0}],
    "twin again": [{"cost": 4.0, "rate": 5.0}, {"cost": 8.1, "rate": 6.0}],
}


def test_a_cost_is_better_when_it_is_less() -> None:
    """The ratio is how many times as much the twin costs, in the same round."""
    cells = Row("cost", "cost").cells(ROUNDS)
    assert cells == ("cost", "2.5 (2.0 to 3.0)", "6.5 (4.0 to 9.0)", "2.50 (2.00 to 3.00)", "0.95 (0.90 to 1.00)")


def test_a_rate_is_better_when_it_is_more() -> None:
    """The ratio is the other way round."""
    assert Row("rate", "rate", more_is_better=True).cells(ROUNDS)[3] == "3.00 (2.00 to 4.00)"


def test_a_table_is_aligned() -> None:
    """The columns of all lines begin at the same place."""
    heading, line, longer = table([Row("cost", "cost"), Row("a longer label", "rate")], ROUNDS)
    assert heading.index("ours") == line.index("2.5") == longer.index("15.0")


def test_the_parts_of_a_cost() -> None:
    """The services and the servers are listed by name, the sums are not."""
    figures: list[Figures] = [
        {"read CPU of edge": 1.0, "read CPU postgres": 2.0, "read CPU all": 9.0, "order CPU of edge": 7.0}
    ]
    lines = parts("read", {"ours": figures, "twin": figures})
    assert lines == ["ours: edge 1.00, postgres 2.00", "twin: edge 1.00, postgres 2.00"]


def test_latencies_are_in_milliseconds() -> None:
    """Two percentiles have the name of what they measure."""
    assert latencies("read", [0.001, 0.002, 0.003]) == {"read p50": pytest.approx(2.0), "read p99": pytest.approx(3.0)}


def test_numbers_are_rounded_in_the_document() -> None:
    """At every depth, and nothing else changes."""
    assert rounded({"a": [1.23456, "x", (2,)], "b": None}) == {"a": [1.235, "x", [2]], "b": None}


def test_the_cpu_time_of_a_tree_has_that_of_children_that_ended() -> None:
    """A process that spends its time in children counts for them, while they run and once it has waited for them."""
    burn = "import time\nwhile time.process_time() < 0.4: pass"
    program = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ninput()"
    process = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        process.stdout.readline()
        assert tree_cpu_s(process.pid) > 0.3  # the kernel rounds each part down to ticks of 10 ms
        assert sum(psutil.Process(process.pid).cpu_times()[:2]) < 0.3
    finally:
        process.kill()
        process.communicate()
