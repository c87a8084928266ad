"""A service of a checkout: its declaration, and what follows from the contracts."""

from dataclasses import dataclass, field

from local.declarations.declaration import OPS_PORT_OFFSET, Declaration, DeclarationFile


@dataclass(frozen=True, slots=True)
class Service:
    """A service. `name` is the name of its folder and in the contracts, order_items; `types` are its gRPC services. Two
    are equal if they declare the same, and the same follows for them.
    """

    name: str
    file: DeclarationFile = field(compare=False)
    declaration: Declaration
    port: int
    types: tuple[str, ...]
    callees: tuple[str, ...]
    publishes: tuple[str, ...]
    consumes: tuple[str, ...]
    calls_as_itself: bool

    @property
    def workload(self) -> str:
        """Its name where names of hosts go, order-items: its container, its pods, its log."""
        return workload_name(self.name)

    @property
    def variable(self) -> str:
        """Its name in variables, ORDER_ITEMS."""
        return self.name.upper()

    @property
    def ops_port(self) -> int:
        """The port of its operations under `make up`."""
        return self.port + OPS_PORT_OFFSET

    @property
    def events(self) -> bool:
        """Whether it publishes or consumes events, and so is a user of the broker."""
        return bool(self.publishes or self.consumes)


def workload_name(service: str) -> str:
    """Returns the name of a service where names of hosts go."""
    return service.replace("_", "-")
