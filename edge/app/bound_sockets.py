"""The sockets of the edge, bound before the processes that serve them start."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass

from edge.settings import EdgeSettings
from mesh.listening import bind, bind_together, check_alone, refuse


@dataclass(frozen=True, slots=True)
class BoundSockets:
    """The socket of one process for the contract's port, and that for the operations port, which all share; None if the
    two ports are one. `together` are the sockets of all processes for the contract's port.
    """

    public: socket.socket
    operations: socket.socket | None
    together: Sequence[socket.socket]

    @classmethod
    def bind(cls, settings: EdgeSettings) -> list["BoundSockets"]:
        """Binds the ports for each of the workers. Raises PortInUse."""
        host = settings.listen_host
        operations = None if settings.operations_on_port else bind(host, settings.ops_port)
        if settings.workers == 1:
            public = bind(host, settings.port)
            return [cls(public, operations, [public])]
        together = bind_together(host, settings.port, settings.workers)
        return [cls(public, operations, together) for public in together]

    def check_alone(self) -> None:
        """Raises PortInUse if another process listens on the contract's port that several of these share."""
        check_alone(self.together)

    def refuse(self) -> None:
        """Takes the public socket out of those that the system gives connections to, until a process listens again."""
        refuse(self.public)
