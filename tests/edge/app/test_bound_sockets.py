"""The sockets that the processes of an edge take over from each other."""

import socket

import pytest

from edge.app.bound_sockets import BoundSockets
from edge.settings import EdgeSettings
from mesh.listening import PortInUse, bind


def settings(port: int) -> EdgeSettings:
    """Returns the settings of an edge with two workers."""
    given = {"contracts": "-", "upstreams": "*=127.0.0.1:1", "listen_host": "127.0.0.1", "port": port, "workers": 2}
    return EdgeSettings.model_validate(given)


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
