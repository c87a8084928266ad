"""The sockets that the processes of an edge take over from each other."""

import socket

import pytest

from edge.app.bound_sockets import BoundSockets
from mesh.listening import bind


@pytest.mark.parametrize("listened", [False, True], ids=["before-it-listened", "after-it-listened"])
def test_a_socket_serves_again_after_it_has_refused(listened: bool) -> None:
    """Whenever a worker ends, twice in a row as well, its successor's connections stay open."""
    with bind("127.0.0.1", 0) as public:
        sockets = BoundSockets(public, None)
        if listened:
            public.listen()
        sockets.refuse()
        sockets.refuse()
        public.listen()
        with socket.create_connection(public.getsockname(), timeout=10) as client, public.accept()[0] as accepted:
            client.sendall(b"x")
            assert accepted.recv(1) == b"x"
