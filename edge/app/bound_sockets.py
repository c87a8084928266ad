"""The sockets of the edge, bound before the processes that serve them start."""

import socket
from dataclasses import dataclass

from edge.settings import EdgeSettings
from mesh.listening import bind, bind_together, refuse


@dataclass(frozen=True, slots=True)
class BoundSockets:
    """The socket of one process for the contract's port, and that for the operations port, which all share; None if the
    two ports are one.
    """

    public: socket.socket
    operations: socket.socket | None

    @classmethod
    def bind(cls, settings: EdgeSettings) -> list["BoundSockets"]:
        """Binds the ports for each of the workers. Raises PortInUse."""
        host = settings.listen_host
        operations = None if settings.operations_on_port else bind(host, settings.ops_port)
        if settings.workers == 1:
            return [cls(bind(host, settings.port), operations)]
        return [cls(public, operations) for public in bind_together(host, settings.port, settings.workers)]

    def refuse(self) -> None:
        """Takes the public socket out of those that the system gives connections to, until a process listens again."""
        refuse(self.public)
