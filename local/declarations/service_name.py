"""The names of services. It needs no package, so that `make service` explains itself before any is installed."""

import re
from typing import Final

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\Z")
_NAME_LENGTH_MAX: Final = 38  # a Kubernetes Service name has at most 63 characters, its prefix up to 24
_TAKEN: Final = {
    "The mesh itself has these": frozenset(
        {
            "all",
            "edge",
            "mail",
            "mail_ops",
            "mail_page",
            "mesh",
            "postgres",
            "nats",
            "rabbitmq",
            "routes",
            "broker",
            "provisioner",
            "proxy",
            "migrations",
            "operator",
            "operators",
            "ops",
            "policy",
            "generation",
            "smtp",
        }
    ),
    # Within the package meshwright.google, google.api would be meshwright.google.api.
    "Contracts import the packages of these names": frozenset({"buf", "google", "meshwright"}),
    "PostgreSQL itself has these": frozenset({"information_schema", "none", "public", "template0", "template1"}),
    "YAML 1.1 reads these as no text": frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"}),
}


def name_problem(name: str) -> str:
    """Returns why a service can't have this name; empty if it can."""
    for owner, names in _TAKEN.items():
        if name in names:
            return f"{owner}: {', '.join(sorted(names))}."
    if name.startswith("pg_"):
        return "PostgreSQL itself has the names that begin with pg_."
    if _NAME.match(name) and len(name) <= _NAME_LENGTH_MAX:
        return ""
    return f"Write it as a Python package, order_items, in at most {_NAME_LENGTH_MAX} characters."


def variables_of_ports(name: str) -> tuple[str, str]:
    """Returns the variables that set the port of a service under `make up`, and that of its operations."""
    return f"{name.upper()}_PORT", f"{name.upper()}_OPS_PORT"
