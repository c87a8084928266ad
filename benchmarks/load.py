"""A load of GET requests over a few keep-alive connections: `python benchmarks/load.py URL CONNECTIONS REQUESTS`.

It is a separate process, so that its CPU time is not counted with the server's. It exits with status 1 at the first
response that is not 200.
"""

import asyncio
import sys
from urllib.parse import urlsplit


async def main(url: str, connections: int, requests: int) -> None:
    """Sends the requests and waits for all responses."""
    parts = urlsplit(url)
    request = f"GET {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\naccept: application/json\r\n\r\n".encode()
    await asyncio.gather(
        *(connection(parts.hostname, parts.port, request, requests // connections) for _ in range(connections))
    )


async def connection(host: str | None, port: int | None, request: bytes, count: int) -> None:
    """Sends requests over one connection, one at a time."""
    reader, writer = await asyncio.open_connection(host, port)
    for _ in range(count):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(head.decode(errors="replace"))
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.partition(b":")[2]))
    writer.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
