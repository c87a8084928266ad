"""TCP ports on the loopback interface: the choice of ports, and the check that they are free."""

import random
import socket
from collections.abc import Collection, Mapping
from typing import Final

import psutil

from local.errors import SetupError
from local.settings import ports_settings

LOOPBACK = "127.0.0.1"

_RANGE: Final = range(10_000, 32_000)
"""Ports that no system gives to outgoing connections (ip(7), ip_local_port_range: from 32768), which would take a free
port before its server binds it.
"""


def free_port() -> int:
    """Returns a free port. Another process may take it first: bind it soon."""
    return free_ports(1)[0]


def free_ports(count: int, besides: Collection[int | None] = ()) -> list[int]:
    """Returns this number of consecutive free ports, none of `besides`. They begin at a random one, so that processes
    that choose at the same time seldom choose the same.
    """
    while True:
        first = random.randrange(_RANGE.start, _RANGE.stop - count)
        ports = list(range(first, first + count))
        if not any(port in besides for port in ports) and all(map(_is_free, ports)):
            return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose_ports(defaults: Mapping[str, int]) -> dict[str, int]:
    """Returns the port for each variable: the one in the environment, else a free one if PORTS=free, else the default.

    Raises SetupError if a value is not a port, if two variables have the same port, or if a port is in use.
    """
    settings = ports_settings(defaults)
    chosen: dict[str, int | None] = {variable: getattr(settings, variable.lower()) for variable in defaults}
    others = free_ports(len(defaults), besides=chosen.values()) if settings.ports else defaults.values()
    ports = {variable: port or other for (variable, port), other in zip(chosen.items(), others, strict=True)}
    problems = [problem for variable, port in ports.items() if (problem := _problem(variable, port, ports))]
    if problems:
        raise SetupError("\n".join([*problems, "Or pick free ports: make up PORTS=free"]))
    return ports


def _problem(variable: str, port: int, ports: Mapping[str, int]) -> str:
    """Returns why this port cannot be used; empty if it can."""
    twins = [name for name, other in ports.items() if other == port and name != variable]
    if twins:
        return f"{variable} and {twins[0]} are both {port}. Set one of them to another port."
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection in TIME_WAIT is no obstacle
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError:
            return f"Port {port} is reserved for root. Choose one above 1023: make up {variable}={port + 8000}"
        except OSError:
            return f"Port {port} is in use{_holder(port)}. Stop that one, or choose another: make up {variable}=<port>"
    return ""


def _holder(port: int) -> str:
    """Returns the process that listens on the port, as the end of a clause; empty if it can't be determined."""
    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:  # another user's process, or one that has just ended
        return ""
    return ""
