"""The application of a service, with its database and its broker."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
from fastapi import APIRouter, FastAPI
from joserfc.jwk import OctKey
from sqlalchemy.ext.asyncio import async_sessionmaker

from benchmarks.peers.store.broker import Broker, Subscriptions
from benchmarks.peers.store.database import Sessions, create_engine, create_tables
from benchmarks.peers.store.settings import Settings

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """A service: its routes, and the events that it consumes."""

    name: str
    router: APIRouter
    subscriptions: Callable[[Sessions, Broker], Subscriptions]

    def app(self, settings: Settings) -> FastAPI:
        """Returns the application."""

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[None]:
            engine = create_engine(settings.database_url)
            await create_tables(engine)
            app.state.sessions = async_sessionmaker(engine, expire_on_commit=False)
            app.state.jwt_key = OctKey.import_key(settings.jwt_secret)
            async with (
                Broker(settings.broker_url, self.name) as broker,
                httpx.AsyncClient(base_url=settings.catalog_url, timeout=TIMEOUT_S) as catalog,
            ):
                app.state.broker, app.state.catalog = broker, catalog
                if subscriptions := self.subscriptions(app.state.sessions, broker):
                    await broker.consume(subscriptions)
                yield
            await engine.dispose()

        app = FastAPI(title=self.name, lifespan=lifespan)
        app.include_router(self.router)

        @app.get("/readyz")
        async def ready() -> dict[str, str]:
            return {"status": "ok"}

        return app
