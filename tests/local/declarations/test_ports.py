"""The ports of services under `make up`."""

import pytest

from local.declarations.ports import FIRST, LAST, OTHERS, assign, clash
from local.declarations.service_name import name_problem, variables_of_ports


def test_a_port_follows_from_the_name() -> None:
    """The port of a service does not depend on other services, unless two names lead to the same port."""
    alone = assign({"reviews": None})["reviews"]
    assert FIRST <= alone <= LAST
    assert assign({"orders": 9003, "a_b": None, "reviews": None})["reviews"] == alone


def test_no_service_has_the_name_of_a_variable_of_another_process() -> None:
    """A service whose variables would set the port of the mail server, PostgreSQL or a broker is rejected."""
    for variable in OTHERS.keys() - {"PORT"}:
        name = variable.removesuffix("_PORT").lower()
        assert variable in variables_of_ports(name)
        assert name_problem(name)


def test_no_two_services_share_a_port() -> None:
    """Each of many services has its own port, and its own port for operations."""
    declared = {f"service{number}": None for number in range(LAST - FIRST + 1)}
    ports = assign(declared)
    assert set(ports.values()) == set(range(FIRST, LAST + 1))
    assert not {port + 100 for port in ports.values()} & {*ports.values(), *OTHERS.values()}
    with pytest.raises(ValueError, match=r"^All ports from 9010 to 9099 are taken: declare one, port = 9200\.$"):
        assign({**declared, "one_more": None})


def test_a_derived_port_gives_way_to_a_declared_one() -> None:
    """A service has the port that it declares."""
    wanted = assign({"reviews": None})["reviews"]
    ports = assign({"reviews": None, "other": wanted})
    assert ports["other"] == wanted
    assert ports["reviews"] not in (wanted, 0)


@pytest.mark.parametrize(
    ("port", "why"),
    [
        (9003, "The port 9003 is one of the service orders, too."),
        (9103, "The port 9103 is one of the service orders, too."),
        (8903, "The port 9003 is one of the service orders, too."),
        (8080, "The port 8080 is the one of PORT."),
        (9000, "The port 9100 is the one of MAIL_OPS_PORT."),
        (9300, ""),
    ],
)
def test_a_clash_of_declared_ports_is_named(port: int, why: str) -> None:
    """A declared port may not be that of another service, of its operations, or of another process."""
    assert clash("reviews", {"orders": 9003, "reviews": port}) == why
