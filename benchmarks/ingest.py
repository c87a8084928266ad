"""The number of client events that analytics ingests per second: `python -m benchmarks.ingest`.

Several clients stream events over gRPC to one process of the service, which shares the machine with them and with
PostgreSQL. Every event is new, valid, and committed when its stream ends.
"""

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Final
from uuid import uuid4

import grpc.aio
import psutil
from joserfc import jwt
from joserfc.jwk import ECKey
from meshwright.analytics.v1.analytics_pb import Event, IngestEventsRequest, IngestEventsResponse
from protobuf.wkt import Timestamp

from benchmarks.program import ROOT, cpu_s, program
from local.ports import free_ports
from local.postgres import Postgres
from mesh.migrations import MESH_FOLDER, migrate

METHOD: Final = "/meshwright.analytics.v1.AnalyticsService/IngestEvents"
STREAMS: Final = 4
MESSAGES: Final = 40  # of each stream
EVENTS_PER_MESSAGE: Final = 500
ROUNDS: Final = 3
READY_S: Final = 60.0
ISSUER: Final = "https://none.example"


async def main() -> None:
    """Starts PostgreSQL and the service, and prints the figures of several rounds."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # PostgreSQL may run as a user of its own
        async with Postgres(Path(name, "postgres")) as postgres:
            await postgres.create_databases("analytics")
            url = postgres.url("analytics")
            migrate(url, [MESH_FOLDER, ROOT / "services" / "analytics" / "migrations"])
            port, ops_port = free_ports(2)
            key = ECKey.generate_key("P-256", {"kid": "key"})
            with published(key) as jwks_url:
                os.environ |= {"DATABASE_URL": url, "BROKER_URL": "nats://127.0.0.1:1", "JWKS_URL": jwks_url}
                os.environ |= {"TOKEN_ISSUER": ISSUER, "GRPC_PORT": str(port), "OPS_PORT": str(ops_port)}
                with program("-m", "services.analytics") as service:
                    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                        await asyncio.wait_for(channel.channel_ready(), READY_S)
                        for _ in range(ROUNDS):
                            print(await measure(channel, token(key), psutil.Process(service.pid)), flush=True)


@contextmanager
def published(key: ECKey) -> Iterator[str]:
    """Serves the public key as a JSON Web Key Set while the block runs; yields its URL."""
    body = json.dumps({"keys": [key.as_dict(private=False)]}).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def token(key: ECKey) -> str:
    """Returns an access token of a user."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "meshwright", "sub": "users/ada", "iat": now, "exp": now + 600, "scope": ""}
    return jwt.encode({"alg": "ES256", "typ": "at+jwt", "kid": "key"}, claims, key)


async def measure(channel: grpc.aio.Channel, access_token: str, service: psutil.Process) -> str:
    """Sends all streams concurrently. Returns the rate and the CPU time of the service."""
    streams = [[message_of_events() for _ in range(MESSAGES)] for _ in range(STREAMS)]
    began, spent = time.perf_counter(), cpu_s(service)
    accepted = sum(await asyncio.gather(*(send(channel, access_token, stream) for stream in streams)))
    seconds, spent = time.perf_counter() - began, cpu_s(service) - spent
    assert accepted == STREAMS * MESSAGES * EVENTS_PER_MESSAGE
    return f"{accepted / seconds:7,.0f} events/s, {spent / accepted * 1e6:4.0f} µs of processor time an event"


def message_of_events() -> bytes:
    """Returns a message of new events."""
    now = Timestamp.now()
    events = [
        Event(event_id=str(uuid4()), type=Event.Type.PAGE_VIEW, event_time=now, page=f"/page-{number % 50}")
        for number in range(EVENTS_PER_MESSAGE)
    ]
    return IngestEventsRequest(events=events).to_binary()


async def send(channel: grpc.aio.Channel, access_token: str, messages: Sequence[bytes]) -> int:
    """Sends a stream and returns the number of accepted events."""
    method: grpc.aio.StreamUnaryMultiCallable[bytes, bytes] = channel.stream_unary(METHOD)
    call = method(iter(messages), metadata=(("authorization", f"Bearer {access_token}"),))
    return IngestEventsResponse.from_binary(await call).accepted_count


if __name__ == "__main__":
    asyncio.run(main())
