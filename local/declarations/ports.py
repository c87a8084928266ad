"""The ports of services under `make up`. They stay the same from run to run and never clash."""

import zlib
from collections.abc import Collection, Mapping
from typing import Final

from local.declarations.declaration import OPS_PORT_OFFSET

FIRST, LAST = 9010, 9099
"""The range of ports for services that declare none."""

OTHERS: Final[Mapping[str, int]] = {  # keyed by the variable that sets the port
    "PORT": 8080,  # the edge's public port
    "MAIL_PAGE_PORT": 8025,
    "SMTP_PORT": 8026,
    "POSTGRES_PORT": 8032,
    "NATS_PORT": 8042,
    "RABBITMQ_PORT": 8043,
    "MAIL_OPS_PORT": 9100,
}


def assign(declared: Mapping[str, int | None]) -> dict[str, int]:
    """Returns the port of each service: the declared one, else one derived from the name. If a derived port is taken,
    the next free one is used. Raises ValueError with a sentence if there are more services than ports.
    """
    ports = {name: port for name, port in declared.items() if port is not None}
    taken = set(ports.values())
    for name in sorted(declared.keys() - ports.keys()):
        ports[name] = _derive(name, taken)
        taken.add(ports[name])
    return {name: ports[name] for name in declared}


def _derive(name: str, taken: Collection[int]) -> int:
    count = LAST - FIRST + 1
    start = zlib.crc32(name.encode())
    for step in range(count):
        port = FIRST + (start + step) % count
        if port not in taken:
            return port
    raise ValueError(f"All ports from {FIRST} to {LAST} are taken: declare one, port = {LAST + OPS_PORT_OFFSET + 1}.")


def clash(name: str, declared: Mapping[str, int]) -> str:
    """Returns why a service can't have the port that it declares; empty if it can."""
    mine = {declared[name], declared[name] + OPS_PORT_OFFSET}
    for variable, port in OTHERS.items():
        if port in mine:
            return f"The port {port} is the one of {variable}."
    for other, port in declared.items():
        theirs = {port, port + OPS_PORT_OFFSET}
        if other != name and (both := mine & theirs):
            return f"The port {min(both)} is one of the service {other}, too."
    return ""
