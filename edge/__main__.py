"""The edge as a process: `python -m edge --contracts image.binpb --upstream pkg.Service=host:port --port 8080`."""

import asyncio
import gc
import math
import signal
import sys
from collections.abc import Sequence
from typing import Any, Final, NoReturn

import structlog

from edge.app import operations_pages as operations
from edge.app.memory import warn_of_little_memory
from edge.app.reloading import ReloadingApp, check_upstreams
from edge.app.routes import build_routes
from edge.call.no_upstream import NoUpstream
from edge.call.upstream_tls import upstream_credentials
from edge.call.upstreams import Upstreams
from edge.contract.contract import read
from edge.http.connection_limits import ConnectionLimits
from edge.http.connections import Connections
from edge.http.draining import Drain, DrainingServer
from edge.http.held_bytes import HeldBytes
from edge.http.http1_protocol import protocol
from edge.http.websocket_protocol import socket_protocol
from edge.settings import EdgeSettings, from_command_line
from edge.sources.source import Source, source_of
from mesh import telemetry
from mesh.identity import EndedTokens, KeySet, RemoteEndedTokens, RemoteKeySet, Verifier
from mesh.operations import OpsServer
from mesh.process import Process, run_to_end

log = structlog.get_logger()

GC_THRESHOLD: Final = 50_000
"""The number of new objects that starts the garbage collector. With Python's default, 700, it repeatedly scans the
objects of thousands of open streams and finds no garbage, which costs a third of the time to open a stream.
"""


def main(arguments: Sequence[str]) -> NoReturn:
    """Runs the edge until SIGTERM or SIGINT. With --check prints the routes and problems instead."""
    settings, check_only = from_command_line(arguments)
    if check_only:
        run_to_end("edge", _check(settings))
    telemetry.configure("edge", settings)
    gc.set_threshold(GC_THRESHOLD)
    run_to_end("edge", _run(settings))


async def _check(settings: EdgeSettings) -> int:
    """Prints every route and every problem. Returns the exit status, which is 1 if the edge would not start."""
    telemetry.configure_logs("edge", settings)
    await _warn_unresolvable(settings)
    async with _upstreams(settings) as upstreams:
        contract = read(await _source(settings, upstreams).read())
    routes = build_routes(contract, settings, NoUpstream, None)
    for each in routes.served:
        print(f"{each.http_method:7} {each.template.text}  {each.method.name}")
    for problem in routes.problems:
        print(problem, file=sys.stderr)
    if settings.upstreams:
        check_upstreams(contract, settings)
    return 1 if any(problem.fatal for problem in routes.problems) and not settings.lenient else 0


async def _run(settings: EdgeSettings) -> int:
    process = Process("edge")
    warn_of_little_memory(settings)

    async def start() -> None:
        hang_up = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up.set)
        upstreams = await process.enter(_upstreams(settings))
        process.spawn(_warn_unresolvable(settings), name="resolve")
        if not settings.operations_on_port:
            await process.enter(OpsServer(process.readiness, settings.listen_host, settings.ops_port))
        pages = operations.routes(process.readiness) if settings.operations_on_port else []
        keys = RemoteKeySet(settings.jwks_url) if settings.jwks_url is not None else None
        ended = RemoteEndedTokens(settings.ended_tokens_url) if settings.ended_tokens_url else None
        verifier = _verifier(settings, keys, ended)
        serving = ReloadingApp(_source(settings, upstreams), settings, upstreams, verifier, pages)
        await serving.load()
        server = await process.enter(serve(serving, settings))
        for of_issuer in (keys, ended):
            if of_issuer is not None:
                await process.enter(of_issuer)  # after the server, because the issuer may be behind it
        log.info("serving", host=settings.listen_host, port=server.port)
        process.spawn(serving.reload_on_change(hang_up), name="reload")

    return await process.run(start)


def _upstreams(settings: EdgeSettings) -> Upstreams:
    files = (settings.upstream_ca_file, settings.upstream_cert_file, settings.upstream_key_file)
    secure = any(address.secure for address in settings.upstreams.values())
    credentials = upstream_credentials(*files) if secure else None
    return Upstreams(
        settings.upstreams,
        credentials,
        bare_messages=settings.bare_messages,
        in_mesh=settings.service_mesh,
        transport=settings.upstream_transport,
    )


def _source(settings: EdgeSettings, upstreams: Upstreams) -> Source:
    return source_of(settings.contracts, settings.upstreams, upstreams.channels, settings.reflect_wait_s)


async def _warn_unresolvable(settings: EdgeSettings) -> None:
    """Logs a warning for each upstream whose host can't be resolved. The name may be wrong, or appear later."""
    for address in sorted(set(settings.upstreams.values()), key=str):
        try:
            await asyncio.get_running_loop().getaddrinfo(address.host, address.port)
        except OSError as error:
            log.warning("could not resolve the host of an upstream", upstream=str(address), error=error.strerror)


def serve(app: Any, settings: EdgeSettings) -> DrainingServer:
    """Returns the HTTP server of an ASGI application."""
    limits = ConnectionLimits(
        settings.head_bytes_max, settings.url_bytes_max, settings.head_timeout_s, settings.stall_s
    )
    drain = Drain(settings.drain_quiet_s, settings.drain_s_max, in_mesh=settings.service_mesh)
    return DrainingServer(
        app,
        settings.listen_host,
        settings.port,
        drain,
        http=protocol(
            limits,
            drain,
            HeldBytes(settings.held_bytes_max, settings.body_bytes_max),
            Connections(settings.connections_max),
        ),
        interface="asgi3",
        ws=socket_protocol(settings.stall_s),
        ws_max_size=settings.body_bytes_max,
        ws_per_message_deflate=False,
        ws_ping_interval=settings.stream_heartbeat_s or None,
        ws_ping_timeout=settings.stall_s,
        lifespan="off",
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
    )


def _verifier(settings: EdgeSettings, keys: KeySet | None, ended: EndedTokens | None) -> Verifier | None:
    if keys is None:
        log.warning("no --jwks: access tokens are passed on to the services without a check")
        return None
    unchecked = {"issuer": settings.token_issuer, "audience": settings.token_audience}
    for name in (name for name, value in unchecked.items() if not value):
        log.warning(f"no --{name}: the {name} of tokens is not checked, only their signature and expiry")
    return Verifier(keys, settings.token_issuer, settings.token_audience, ended)


if __name__ == "__main__":
    main(sys.argv[1:])
