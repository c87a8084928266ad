"""A server that does not run for a while: a container that is paused, or a virtual machine that moves."""

import asyncio
import signal
import sys

from mesh.http2 import frames
from tests.mesh.http2.server.holding_server import ANSWER_S
from tests.mesh.http2.server.scripted import client_of, request


async def test_an_answer_that_arrived_during_the_pause_counts() -> None:
    """Timers become due before the socket is read. The connection of a client that has answered its ping is kept."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.mesh.http2.server.holding_server"), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert server.stdout
        async with asyncio.timeout(60), client_of(int(await server.stdout.readline())) as client:
            client.send(request(1, "Wait"))
            flags, payload = frames.ACK, b""
            while flags & frames.ACK:
                _, flags, _, payload = await client.next(frames.PING)
            await asyncio.sleep(0.2)  # so that the server waits for its socket
            server.send_signal(signal.SIGSTOP)
            client.send(frames.frame(frames.PING, frames.ACK, 0, payload))
            await asyncio.sleep(ANSWER_S + 0.2)
            server.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.2)
            client.send(frames.frame(frames.PING, 0, 0, b"are you?"))
            while payload != b"are you?":
                payload = (await client.next(frames.PING))[3]
    finally:
        server.kill()
        await server.wait()
