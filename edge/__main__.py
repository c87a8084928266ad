"""The edge as a process: `python -m edge --contracts image.binpb --upstream pkg.Service=host:port --port 8080`."""

import math
import sys
from collections.abc import Sequence
from typing import NoReturn

import structlog
import uvloop

from edge import operations
from edge.app import PAGES, EdgeApp, Routes, route
from edge.connection import HeadLimits, protocol
from edge.contract import Contract, load
from edge.settings import ANY_SERVICE, EdgeSettings, from_command_line
from edge.upstream import Nowhere, Upstreams
from mesh import telemetry
from mesh.errors import InvalidArgument, MeshError
from mesh.http import HttpServer
from mesh.identity import JwksUrl, Verifier
from mesh.operations import OperationsServer
from mesh.process import Process

log = structlog.get_logger()


def main(arguments: Sequence[str]) -> NoReturn:
    """Runs the edge until SIGTERM or SIGINT; with --check prints what it would serve."""
    settings, check_only = from_command_line(arguments)
    try:
        contract = load(settings.contracts)
        if check_only:
            sys.exit(check(contract, settings))
        telemetry.configure("edge", settings)
        sys.exit(uvloop.run(_run(contract, settings)))
    except MeshError as error:
        print(f"edge: {error.message}", file=sys.stderr)
        sys.exit(1)


def check(contract: Contract, settings: EdgeSettings) -> int:
    """Prints every route and every problem. Gives the exit status: 1 if the edge would not start."""
    routes = route(contract, settings, Nowhere, None)
    for each in routes.served:
        print(f"{each.http_method:7} {each.template.text}  {each.method.name}")
    for problem in routes.problems:
        print(problem, file=sys.stderr)
    return 1 if any(problem.fatal for problem in routes.problems) else 0


async def _run(contract: Contract, settings: EdgeSettings) -> int:
    process = Process("edge")

    async def start() -> None:
        upstreams = await process.enter(Upstreams(_addresses(contract, settings)))
        for channel in upstreams.channels.values():
            process.readiness.add(channel)
        routes = route(contract, settings, upstreams.__getitem__, _verifier(settings))
        _report(routes)
        on_own_port = settings.ops_port in (0, settings.port)
        if not on_own_port:
            await process.enter(OperationsServer(process.readiness, settings.listen_host, settings.ops_port))
        pages = operations.routes(process.readiness) if on_own_port else []
        await process.enter(serve(EdgeApp(contract, routes, settings, pages), settings))

    return await process.run(start)


def serve(app: EdgeApp, settings: EdgeSettings) -> HttpServer:
    """The HTTP server of the application."""
    limits = HeadLimits(settings.head_bytes_max, settings.url_bytes_max, settings.head_timeout_s)
    return HttpServer(
        app,
        settings.listen_host,
        settings.port,
        http=protocol(limits),
        ws="none",
        lifespan="off",
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=math.ceil(settings.shutdown_grace_s),
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
    )


def _addresses(contract: Contract, settings: EdgeSettings) -> dict[str, str]:
    """The address of each service that has methods to serve."""
    services = sorted({method.service for method in contract.methods})
    addresses = {service: settings.address_of(service) for service in services}
    if missing := [service for service, address in addresses.items() if address is None]:
        names = ", ".join(missing)
        raise InvalidArgument(f"No upstream for {names}. Add --upstream SERVICE=HOST:PORT, or one for '*'.")
    if unknown := settings.upstreams.keys() - set(contract.services) - {ANY_SERVICE}:
        names = ", ".join(sorted(unknown))
        raise InvalidArgument(f"The contracts have no service {names}, for which there is an upstream.")
    return {service: address for service, address in addresses.items() if address is not None}


def _verifier(settings: EdgeSettings) -> Verifier | None:
    if settings.jwks_url is None:
        log.warning("no JWKS_URL: access tokens are not checked here but passed on to the services")
        return None
    return Verifier(JwksUrl(settings.jwks_url), settings.token_issuer, settings.token_audience)


def _report(routes: Routes) -> None:
    """Logs the problems of the contract. Raises InvalidArgument if one of them forbids to start."""
    for problem in routes.problems:
        if not problem.fatal:
            log.warning("contract", problem=str(problem))
    if fatal := [str(problem) for problem in routes.problems if problem.fatal]:
        raise InvalidArgument("\n".join(["The contracts can't be served.", *fatal]))
    log.info("routes", count=len(routes.served), pages=", ".join(PAGES))


if __name__ == "__main__":
    main(sys.argv[1:])
