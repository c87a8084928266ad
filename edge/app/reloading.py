"""The reload of contracts while requests are served."""

import asyncio
import gc
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from starlette.routing import Route as PageRoute

from edge.app.call_limits import CallLimits
from edge.app.edge_app import EdgeApp
from edge.app.memory import warn_of_little_memory
from edge.app.routes import Routes, build_routes
from edge.call.address import ANY_SERVICE
from edge.call.allowance_table import AllowanceTable
from edge.call.upstreams import Upstreams
from edge.contract.contract import Contract, read
from edge.http.request import Receive, Scope, Send
from edge.settings import EdgeSettings
from edge.sources.source import Source
from mesh.errors import InvalidArgument, MeshError
from mesh.identity import Verifier

log = structlog.get_logger()

SHOWN_MAX: Final = 20

_RELOAD_FAILED: Final = "could not load the new contracts; the previous ones are still served"

_NO_STAMP: Final = object()


class ReloadingApp:
    """An ASGI application that serves the newest valid contracts. A reload does not affect requests that have begun."""

    def __init__(
        self,
        source: Source,
        settings: EdgeSettings,
        upstreams: Upstreams,
        verifier: Verifier | None,
        operations: Sequence[PageRoute],
        allowances: AllowanceTable,
    ) -> None:
        """`operations` are the operations pages, none if they are on another port."""
        self._source = source
        self._settings = settings
        self._upstreams = upstreams
        self._verifier = verifier
        self._operations = operations
        self._limits = CallLimits.of(settings, allowances)
        self._app: EdgeApp | None = None
        self._stamp: object = _NO_STAMP

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answers one request."""
        assert self._app is not None, "load() must be called first"
        return self._app(scope, receive, send)

    async def load(self) -> None:
        """Loads the current contracts and serves them. Raises MeshError if they can't be read or served; the previous
        ones are still served then.
        """
        self._stamp = await self._source.fingerprint()
        image = await self._source.read()
        first = self._app is None
        with _garbage_collection_off():
            self._app = await asyncio.to_thread(self._make, image)
        if not first:
            gc.collect()
        gc.freeze()

    async def reload_on_change(self, requested: asyncio.Event) -> None:
        """Reloads the contracts whenever `requested` is set, and when they have changed and are stable again."""
        while True:
            if await self._is_requested(requested) or await self._has_changed():
                try:
                    await self.load()
                except MeshError as error:
                    log.error(_RELOAD_FAILED, error=error.message)  # noqa: TRY400 # the error is in the contracts, and needs no traceback
                except Exception:
                    log.exception(_RELOAD_FAILED)

    async def _is_requested(self, requested: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._settings.reload_every_s or None):
                await requested.wait()
        except TimeoutError:
            return False
        requested.clear()
        return True

    async def _has_changed(self) -> bool:
        """Returns whether the contracts have changed since they were last read, and are not being written now."""
        stamp = await self._source.fingerprint()
        if stamp == self._stamp:
            return False
        await asyncio.sleep(self._settings.reload_every_s)
        return await self._source.fingerprint() == stamp

    def _make(self, image: FileDescriptorSet) -> EdgeApp:
        contract = read(image)
        check_upstreams(contract, self._settings)
        routes = build_routes(contract, self._settings, self._upstreams.__getitem__, self._verifier, self._limits)
        _report_problems(routes, lenient=self._settings.lenient)
        warn_of_little_memory(self._settings, len(contract.methods))
        return EdgeApp(contract, routes, self._settings, self._operations)


@contextmanager
def _garbage_collection_off() -> Iterator[None]:
    """Disables the garbage collector while a contract is loaded, because all its objects are kept. With a large
    contract the collector takes half of the time to load, and later interrupts requests unless these objects are
    frozen.
    """
    gc.unfreeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def check_upstreams(contract: Contract, settings: EdgeSettings) -> None:
    """Raises InvalidArgument if a service with methods to serve has no upstream, or if an upstream has no service."""
    services = {method.service for method in contract.methods}
    if ANY_SERVICE not in settings.upstreams and (missing := services - settings.upstreams.keys()):
        names = ", ".join(sorted(missing))
        raise InvalidArgument(f"There is no upstream for {names}. Add --upstream SERVICE=HOST:PORT, or one for '*'.")
    if unknown := settings.upstreams.keys() - set(contract.services) - {ANY_SERVICE}:
        names = ", ".join(sorted(unknown))
        raise InvalidArgument(f"There are upstreams for {names}, which the contracts don't declare.")


def _report_problems(routes: Routes, *, lenient: bool) -> None:
    """Logs the problems of a contract. Raises InvalidArgument if one is fatal, unless `lenient`."""
    fatal = [str(problem) for problem in routes.problems if problem.fatal]
    if fatal and not lenient:
        more = [f"and {len(fatal) - SHOWN_MAX} more, which --check lists"] if len(fatal) > SHOWN_MAX else []
        lines = ["The contracts can't be served; --lenient leaves out invalid rules.", *fatal[:SHOWN_MAX], *more]
        raise InvalidArgument("\n".join(lines))
    for problem in routes.problems:
        log.warning("the contract has a problem", problem=str(problem))
    log.info("contracts loaded", routes=len(routes.served))
