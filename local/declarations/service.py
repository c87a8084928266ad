"""A service of a checkout: its declaration, and the facts that are derived from the contracts."""

from dataclasses import dataclass, field

from local.declarations.declaration import OPS_PORT_OFFSET, Declaration, DeclarationFile


@dataclass(frozen=True, slots=True)
class Service:
    """A service. `name` is its name in the contracts and of its folder, order_items; `types` are its gRPC services. Two
    services are equal if all of this is equal; the text of the declaration does not count.
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
        """Returns the name as a host name, such as order-items. Its container, its pods and its log have it."""
        return workload_name(self.name)

    @property
    def variable(self) -> str:
        """Returns the name in variables, such as ORDER_ITEMS."""
        return self.name.upper()

    @property
    def ops_port(self) -> int:
        """Returns the operations port under `make up`."""
        return self.port + OPS_PORT_OFFSET

    @property
    def events(self) -> bool:
        """Returns whether it publishes or consumes events and so needs a user of the broker."""
        return bool(self.publishes or self.consumes)


def workload_name(service: str) -> str:
    """Returns the name of a service as a host name."""
    return service.replace("_", "-")
