"""The description of the machine in the output of benchmarks."""

import platform
from importlib.metadata import version
from pathlib import Path

from benchmarks import machine


def test_the_processor_has_its_name(tmp_path: Path) -> None:
    """The first name in /proc/cpuinfo counts; a system without that file has its architecture."""
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Fast: 3000\nprocessor\t: 1\nmodel name\t: Other\n")
    assert machine.processor(cpuinfo) == "Fast: 3000"
    assert machine.processor(tmp_path / "none") == platform.machine()


def test_versions_are_printed() -> None:
    """The lines name Python and each package with the version that is installed."""
    text = "\n".join(machine.lines(machine.describe(["httpx"])))
    assert f"Python {platform.python_version()}" in text
    assert f"httpx {version('httpx')}" in text
