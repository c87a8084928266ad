"""The ports of the local mesh."""

import os
import random
import socket

import pytest

from local.errors import SetupError
from local.ports import choose_ports, free_ports


def test_the_environment_decides_before_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set wins, an empty one counts as not set, and the others keep their defaults."""
    first, second, third = free_ports(3)
    defaults = {"A_PORT": first, "B_PORT": second}
    monkeypatch.setenv("A_PORT", str(third))
    monkeypatch.setenv("B_PORT", "")
    assert choose_ports(defaults) == {"A_PORT": third, "B_PORT": second}


def test_free_ports_are_picked_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """With PORTS=free every port differs from its default, except those that a variable sets."""
    [taken] = free_ports(1)
    monkeypatch.setenv("PORTS", "free")
    monkeypatch.setenv("B_PORT", str(taken))
    ports = choose_ports({"A_PORT": 1, "B_PORT": 2})
    assert ports["B_PORT"] == taken
    assert ports["A_PORT"] > 1023


def test_a_free_port_is_none_that_a_variable_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be free, but for the other process of the mesh."""
    first, _, third, _ = free_ports(4)
    starts = iter([first, third])
    monkeypatch.setattr(random, "randrange", lambda *_: next(starts))
    monkeypatch.setenv("PORTS", "free")
    monkeypatch.setenv("B_PORT", str(first))
    assert choose_ports({"A_PORT": 1, "B_PORT": 2}) == {"A_PORT": third, "B_PORT": first}


def test_a_port_in_use_is_named_with_its_holder_and_its_variable() -> None:
    """The error lists each port in use, the process that uses it, and the variable to change it."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [server.getsockname()[1] for server in (one, other)]
        with pytest.raises(SetupError) as caught:
            choose_ports(dict(zip(("A_PORT", "B_PORT"), ports, strict=True)))
    for variable, port in zip(("A_PORT", "B_PORT"), ports, strict=True):
        assert f"Port {port} is in use by " in str(caught.value)
        assert f"make up {variable}=<port>" in str(caught.value)
    assert f"(process {os.getpid()})" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("A_PORT", "http", "A_PORT: must be a whole number from 1 to 65535. Example: A_PORT=8080"),
        ("A_PORT", "65536", "A_PORT: must be a whole number from 1 to 65535"),
        ("A_PORT", "0", "A_PORT: must be a whole number from 1 to 65535"),
        ("PORTS", "any", "PORTS: must be free"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str) -> None:
    """The error names the variable and what it must be."""
    monkeypatch.setenv(variable, value)
    with pytest.raises(SetupError, match=problem):
        choose_ports({"A_PORT": 8080})


def test_every_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them are in one error."""
    for variable in ("A_PORT", "B_PORT", "PORTS"):
        monkeypatch.setenv(variable, "x")
    with pytest.raises(SetupError, match=r"A_PORT: .*\nB_PORT: .*\nPORTS: "):
        choose_ports({"A_PORT": 8080, "B_PORT": 8081})


def test_two_variables_with_one_port_are_an_error() -> None:
    """The error names both."""
    [port] = free_ports(1)
    with pytest.raises(SetupError, match=f"A_PORT and B_PORT are both {port}"):
        choose_ports({"A_PORT": port, "B_PORT": port})


def test_free_ports_are_never_those_of_outgoing_connections() -> None:
    """A free port is outside of the ephemeral range, where any outgoing connection could take it."""
    ports = free_ports(40)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as outgoing:
        assert max(ports) < outgoing.getsockname()[1]
    assert len(set(ports)) == 40
