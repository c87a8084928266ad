"""The contracts that are served, and their replacement by newer ones while requests go on."""

import asyncio
import gc
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from starlette.routing import Route as PageRoute

from edge.app.edge_app import EdgeApp
from edge.app.routes import Routes, route
from edge.call.address import ANY_SERVICE
from edge.call.upstreams import Upstreams
from edge.contract.contract import Contract, read
from edge.http.request import Receive, Scope, Send
from edge.settings import EdgeSettings
from edge.sources.source import Source
from mesh.errors import InvalidArgument, MeshError
from mesh.identity import Verifier

log = structlog.get_logger()

SHOWN_MAX: Final = 20

_STAY: Final = "the new contracts can't be served; those before stay"

_NOTHING: Final = object()


class ReloadingApp:
    """An ASGI application: that of the newest contracts that could be served. A request is finished by the one that it
    began with.
    """

    def __init__(
        self,
        source: Source,
        settings: EdgeSettings,
        upstreams: Upstreams,
        verifier: Verifier | None,
        operations: Sequence[PageRoute],
    ) -> None:
        """`operations` are the pages for those who run this, empty if they are on another port."""
        self._source = source
        self._settings = settings
        self._upstreams = upstreams
        self._verifier = verifier
        self._operations = operations
        self._app: EdgeApp | None = None
        self._stamp: object = _NOTHING

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answers one request."""
        assert self._app is not None, "load() comes first"
        return self._app(scope, receive, send)

    async def load(self) -> None:
        """Serves the contracts as they are now. Raises MeshError if they can't be had, or can't be served; what was
        served before goes on then.
        """
        self._stamp = await self._source.stamp()
        image = await self._source.read()
        first = self._app is None
        with _uncollected():
            self._app = await asyncio.to_thread(self._make, image)
        if not first:
            gc.collect()
        gc.freeze()

    async def keep_up(self, called: asyncio.Event) -> None:
        """Loads the contracts again whenever this is called for, and when they have changed and rest again."""
        while True:
            if await self._is_called(called) or await self._has_changed():
                try:
                    await self.load()
                except MeshError as error:
                    log.error(_STAY, error=error.message)  # noqa: TRY400 # what is wrong is said, and it is not here
                except Exception:
                    log.exception(_STAY)

    async def _is_called(self, called: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._settings.reload_every_s or None):
                await called.wait()
        except TimeoutError:
            return False
        called.clear()
        return True

    async def _has_changed(self) -> bool:
        """Whether the contracts are others than those that were read last, and nobody is writing them."""
        stamp = await self._source.stamp()
        if stamp == self._stamp:
            return False
        await asyncio.sleep(self._settings.reload_every_s)
        return await self._source.stamp() == stamp

    def _make(self, image: FileDescriptorSet) -> EdgeApp:
        contract = read(image)
        check_upstreams(contract, self._settings)
        routes = route(contract, self._settings, self._upstreams.__getitem__, self._verifier)
        _report(routes, lenient=self._settings.lenient)
        return EdgeApp(contract, routes, self._settings, self._operations)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keeps the garbage collector away while all that is made stays: with a large contract it takes half of the time,
    and later on stops every request for a moment, again and again, unless what stays is frozen.
    """
    gc.unfreeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def check_upstreams(contract: Contract, settings: EdgeSettings) -> None:
    """Raises InvalidArgument if a service that has methods to serve has no upstream, or an upstream no service."""
    services = {method.service for method in contract.methods}
    if ANY_SERVICE not in settings.upstreams and (missing := services - settings.upstreams.keys()):
        names = ", ".join(sorted(missing))
        raise InvalidArgument(f"No upstream for {names}. Add --upstream SERVICE=HOST:PORT, or one for '*'.")
    if unknown := settings.upstreams.keys() - set(contract.services) - {ANY_SERVICE}:
        names = ", ".join(sorted(unknown))
        raise InvalidArgument(f"The contracts have no service {names}, for which there is an upstream.")


def _report(routes: Routes, *, lenient: bool) -> None:
    """Logs the problems of the contract. Raises InvalidArgument if one of them forbids to serve it."""
    fatal = [str(problem) for problem in routes.problems if problem.fatal]
    if fatal and not lenient:
        more = [f"and {len(fatal) - SHOWN_MAX} more, which --check lists"] if len(fatal) > SHOWN_MAX else []
        lines = ["The contracts can't be served; --lenient leaves out what is wrong.", *fatal[:SHOWN_MAX], *more]
        raise InvalidArgument("\n".join(lines))
    for problem in routes.problems:
        log.warning("contract", problem=str(problem))
    log.info("routes", count=len(routes.served))
