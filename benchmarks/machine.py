"""The machine that a benchmark runs on, and the versions of what it runs."""

import importlib.metadata
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


def describe(packages: Iterable[str]) -> dict[str, Any]:
    """Returns the machine, its load by other work, and the versions of Python and of these packages."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
    }


def processor(cpuinfo: Path) -> str:
    """Returns the name of the processor, the architecture if the system does not tell it."""
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.machine()


def lines(machine: dict[str, Any]) -> Iterable[str]:
    """Yields the lines that describe a machine to people."""
    load = machine["load_average"][0]
    yield f"{machine['processor']}, {machine['cores']} cores, load {load} before; {machine['system']}"
    versions = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    yield f"{machine['time']}, Python {machine['python']}, {versions}"
