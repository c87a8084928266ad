"""The running mesh, for commands in another terminal that use its servers."""

from collections.abc import Callable
from pathlib import Path

from local.declarations.checkout import read_services
from local.declarations.service import Service, workload_name
from local.errors import SetupError
from local.home import Home
from local.state import State


def names(home: Home) -> set[str]:
    """Returns the names of the processes of the running mesh; empty if no mesh runs."""
    return {state.name for state in State.read(home.state_file).processes} if home.supervisor_pid() else set()


def port_of(home: Home, name: str) -> int:
    """Returns the port of a process of the running mesh. Raises SetupError if no mesh runs."""
    states = State.read(home.state_file).processes if home.supervisor_pid() else []
    for state in states:
        if state.name == name:
            return state.port
    raise SetupError("No mesh runs here. `make up` starts one.")


def chosen_service(target: str, name: str | None, has_what: Callable[[Service], bool]) -> Service:
    """Returns the service that SERVICE names for a make target. Raises SetupError with the possible names if it
    is unknown or `has_what` is false for it.
    """
    services = {service.workload: service for service in read_services(Path()) if has_what(service)}
    service = services.get(workload_name(name or ""))
    if service is None:
        raise SetupError(
            f"SERVICE is missing or unknown. Run make {target} SERVICE=<service> with one of: {', '.join(services)}"
        )
    return service
