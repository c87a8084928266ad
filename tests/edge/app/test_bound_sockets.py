"""The sockets that the processes of an edge take over from each other."""

import errno
import socket
import sys

import pytest

from edge.app.bound_sockets import BoundSockets
from edge.settings import EdgeSettings
from mesh.listening import PortInUse, bind, listen


def settings(port: int, workers: int = 2) -> EdgeSettings:
    """Returns the settings of an edge, by default with two workers."""
    given = {"contracts": "-", "upstreams": "*=127.0.0.1:1", "listen_host": "127.0.0.1", "port": port}
    return EdgeSettings.model_validate({**given, "workers": workers})


@pytest.mark.parametrize("listened", [False, True], ids=["before-it-listened", "after-it-listened"])
def test_a_socket_serves_again_after_it_has_refused(listened: bool) -> None:
    """Whenever a worker ends, twice in a row as well, its successor's connections stay open."""
    with bind("127.0.0.1", 0) as public:
        sockets = BoundSockets(public, None, [public])
        if listened:
            public.listen()
        sockets.refuse()
        sockets.refuse()
        public.listen()
        with socket.create_connection(public.getsockname(), timeout=10) as client, public.accept()[0] as accepted:
            client.sendall(b"x")
            assert accepted.recv(1) == b"x"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bind a port once")
def test_two_edges_do_not_share_a_port() -> None:
    """Both have bound it before either listened. The second to listen finds the first, which does not mind itself."""
    first = BoundSockets.bind(settings(0))
    second = BoundSockets.bind(settings(first[0].public.getsockname()[1]))
    try:
        second[0].check_alone()
        first[0].public.listen()
        for each in first:
            each.check_alone()
        with pytest.raises(PortInUse):
            second[0].check_alone()
    finally:
        for each in (*first, *second):
            each.public.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bind a port once")
def test_an_edge_of_one_process_finds_another_when_it_listens() -> None:
    """It binds its port once: where nobody else may have bound it, it would find itself."""
    [first] = BoundSockets.bind(settings(0, workers=1))
    [second] = BoundSockets.bind(settings(first.public.getsockname()[1], workers=1))
    with first.public, second.public:
        listen(first.public)
        second.check_alone()
        with pytest.raises(PortInUse):
            listen(second.public)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_edge_starts_where_a_port_is_bound_once(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    """As on macOS and BSD: a socket that only bound the port is enough for EADDRINUSE."""
    sockets = BoundSockets.bind(settings(0, workers))
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(socket.socket, "bind", _bound_once)
    for each in sockets:
        each.check_alone()
        each.public.close()


def _bound_once(_: socket.socket, address: object) -> None:
    raise OSError(errno.EADDRINUSE, "Address already in use", address)
