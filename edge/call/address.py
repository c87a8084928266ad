"""Addresses of upstreams."""

import re
from dataclasses import dataclass
from typing import Final

ANY_SERVICE: Final = "*"
"""The name that stands for every service without an upstream of its own."""

_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or IP address, and its port. `secure` is true if the upstream uses TLS."""

    host: str
    port: int
    secure: bool = False

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parses host:port, http://host:port or https://host:port, the last two also without the port. Raises
        ValueError.
        """
        scheme, separator, rest = text.rpartition("://")
        if separator and scheme not in _PORTS:
            raise ValueError(f"{scheme}:// is neither http:// nor https://")
        rest = rest.removesuffix("/") if separator else rest
        host, colon, port = rest.rpartition(":")
        if separator and (not colon or rest.endswith("]")):
            host, port = rest, str(_PORTS[scheme])
        if not _HOST.fullmatch(host):
            raise ValueError("it is not host:port, http://host:port or https://host:port")
        if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) < 65536):
            raise ValueError("it has no port from 1 to 65535")
        return cls(host.strip("[]"), int(port), scheme == "https")

    @property
    def target(self) -> str:
        """Returns the target for a gRPC channel."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"https://{self.target}" if self.secure else self.target
