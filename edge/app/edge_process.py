"""The edge in one process: its components, from their start to their drain."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import structlog

from edge.app import operations_pages as operations
from edge.app.bound_sockets import BoundSockets
from edge.app.http_server import serve
from edge.app.reloading import ReloadingApp
from edge.call.allowance_table import AllowanceTable
from edge.call.upstream_tls import upstream_credentials
from edge.call.upstreams import Upstreams
from edge.settings import EdgeSettings
from edge.sources.source import Source, source_of
from mesh.identity import EndedTokens, KeySet, RemoteEndedTokens, RemoteKeySet, Verifier
from mesh.operations import OpsServer
from mesh.process import Process

log = structlog.get_logger()


async def run_edge(
    settings: EdgeSettings,
    sockets: BoundSockets,
    allowances: AllowanceTable,
    heartbeat: Coroutine[Any, Any, None] | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT, or until `heartbeat` raises, which runs while the edge serves. Returns the exit
    status.
    """
    process = Process("edge")

    async def start() -> None:
        hang_up = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hang_up.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        upstreams = await process.enter(upstreams_of(settings))
        process.spawn(warn_unresolvable(settings), name="resolve")
        if sockets.operations is not None:
            await process.enter(OpsServer(process.readiness, sockets.operations))
        pages = operations.routes(process.readiness) if sockets.operations is None else []
        keys = RemoteKeySet(settings.jwks_url) if settings.jwks_url is not None else None
        ended = RemoteEndedTokens(settings.ended_tokens_url) if settings.ended_tokens_url else None
        verifier = _verifier(settings, keys, ended)
        serving = ReloadingApp(contracts_of(settings, upstreams), settings, upstreams, verifier, pages, allowances)
        await serving.load()
        sockets.check_alone()
        server = await process.enter(serve(serving, settings, sockets.public))
        for of_issuer in (keys, ended):
            if of_issuer is not None:
                await process.enter(of_issuer)  # after the server, because the issuer may be behind it
        log.info("serving", host=settings.listen_host, port=server.port)
        process.spawn(serving.reload_on_change(hang_up), name="reload")
        if heartbeat is not None:
            process.spawn(heartbeat, name="heartbeat")

    return await process.run(start)


def upstreams_of(settings: EdgeSettings) -> Upstreams:
    """Returns the upstreams that the settings name."""
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


def contracts_of(settings: EdgeSettings, upstreams: Upstreams) -> Source:
    """Returns the source of the contracts that the settings name."""
    return source_of(settings.contracts, settings.upstreams, upstreams.channels, settings.reflect_wait_s)


async def warn_unresolvable(settings: EdgeSettings) -> None:
    """Logs a warning for each upstream whose host can't be resolved. The name may be wrong, or appear later."""
    for address in sorted(set(settings.upstreams.values()), key=str):
        try:
            await asyncio.get_running_loop().getaddrinfo(address.host, address.port)
        except OSError as error:
            log.warning("could not resolve the host of an upstream", upstream=str(address), error=error.strerror)


def _verifier(settings: EdgeSettings, keys: KeySet | None, ended: EndedTokens | None) -> Verifier | None:
    if keys is None:
        log.warning("no --jwks: access tokens are passed on to the services without a check")
        return None
    unchecked = {"issuer": settings.token_issuer, "audience": settings.token_audience}
    for name in (name for name, value in unchecked.items() if not value):
        log.warning(f"no --{name}: the {name} of tokens is not checked, only their signature and expiry")
    return Verifier(keys, settings.token_issuer, settings.token_audience, ended)
